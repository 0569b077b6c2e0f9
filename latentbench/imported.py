"""The source code that this process runs: recorded as it is imported, so that an edit made afterwards is not mistaken for it.

A run's numbers come from the modules that its process has imported, while the files they were read from may be edited at any time. Modules of
latentbench and of plugin packages are therefore compiled here from the very text that is recorded.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import marshal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

Sources = Mapping[str, str]
"""Source file, as `package/module.py` -> hash over what it means."""
GROUP = "latentbench"
"""The group of entry points that names plugins."""
DOORS = frozenset({"latentbench.api", "latentbench.api.engines"})
"""Modules that only pass on what others define: a name that is imported from one is imported from the module that defines it."""
UNSAID = ("kind", "type_comment")
"""Fields of a syntax tree that change nothing."""

_read: dict[str, bytes] = {}


@cache
def packages() -> frozenset[str]:
    """Top-level packages whose sources are recorded: latentbench, and those that entry points name as plugins."""
    plugins = importlib.metadata.entry_points(group=GROUP)
    return frozenset({"latentbench", *(point.module.partition(".")[0] for point in plugins)})


CHECKED_HASH = b"\x03\0\0\0"
"""The flags of a `.pyc` that is valid for a source of the hash that follows them (PEP 552), whatever the file's times are."""


class _Loader(SourceFileLoader):
    """Compiles a module from its source, or takes a cached `.pyc` of that very text, and keeps the source."""

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        source = self.get_data(path)
        _read[fullname] = source
        cached = importlib.util.cache_from_source(path)
        head = importlib.util.MAGIC_NUMBER + CHECKED_HASH + importlib.util.source_hash(source)
        with suppress(OSError, EOFError, ValueError, TypeError):  # none, or a damaged one
            data = self.get_data(cached)
            code = marshal.loads(data[len(head) :]) if data.startswith(head) else None
            if isinstance(code, CodeType):
                return code
        code = self.source_to_code(source, path)
        if not sys.dont_write_bytecode:
            self.set_data(cached, head + marshal.dumps(code))
        return code


class _GivenLoader(SourceFileLoader):
    """Executes a text that was read already as the module of the file that it came from."""

    def __init__(self, name: str, path: Path, source: bytes) -> None:
        super().__init__(name, str(path))
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.source, self.path)


class _Finder(MetaPathFinder):
    """Lets the other finders find a module of these packages, and has its source recorded."""

    def __init__(self, recorded: frozenset[str]) -> None:
        self.recorded = recorded

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in self.recorded:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if type(spec.loader) is SourceFileLoader:
                    spec.loader = _Loader(spec.loader.name, spec.loader.path)
                return spec
        return None


def record() -> None:
    """Record the sources of what is imported from now on."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(packages()))


def execute_source(name: str, path: Path, source: bytes) -> ModuleType:
    """A module of this name, made of a text that was read from `path`, with its source recorded. No import statement finds it.

    Raises whatever the text raises; then there is no such module.
    """
    loader = _GivenLoader(name, path, source)
    spec = ModuleSpec(name, loader, origin=str(path))
    spec.has_location = True  # it has a `__file__`, which tracebacks and `inspect` read
    module = importlib.util.module_from_spec(spec)
    sys.modules[name], _read[name] = module, source  # dataclasses and pydantic look a class's module up here
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name], _read[name]
        raise
    return module


def source_of(module: str) -> bytes | None:
    """The source that a module was imported from; of one that was not imported here, or not through files, what its file has now, if any."""
    if module not in _read:
        spec = sys.modules[module].__spec__ if module in sys.modules else importlib.util.find_spec(module)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            return None
        return Path(spec.origin).read_bytes()
    return _read[module]


def file_of(module: str) -> str:
    """The name of a module's file below the folder of its top-level package, as `package/module.py`."""
    return module.replace(".", "/") + ("/__init__.py" if _package(module) == module else ".py")


@cache
def meaning(source: bytes) -> str:
    """A hash over what a source means: sixteen hexadecimal digits that change with its syntax tree, and not with comments, docstrings or layout."""
    return hashlib.sha256(_written(_tree(source)).encode()).hexdigest()[:16]


@cache
def _tree(source: bytes) -> ast.Module:
    """The syntax tree of a source, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return tree


def _written(value: Any) -> str:
    """A syntax tree as a text that does not depend on the version of Python more than the tree does: fields without a value are left out."""
    if isinstance(value, ast.AST):
        fields = ((name, inner) for name, inner in ast.iter_fields(value) if name not in UNSAID and inner is not None and inner != [])
        return f"{type(value).__name__}({','.join(f'{name}={_written(inner)}' for name, inner in fields)})"
    return f"[{','.join(map(_written, value))}]" if isinstance(value, list) else repr(value)


def hashes(modules: Iterable[str], core: frozenset[str] = frozenset()) -> dict[str, str]:
    """Source file -> hash over what it means, of modules and of all that they import from plugin packages and from the modules `core`."""
    found: dict[str, str] = {}
    seen, ahead = set[str](), list(modules)
    while ahead:
        module = ahead.pop()
        source = None if module in seen else source_of(module)
        seen.add(module)
        if source is not None:
            found[file_of(module)] = meaning(source)
            ahead += [name for name in imports(module) if name in core or name.partition(".")[0] in packages() - {"latentbench"}]
    return found


def imports(module: str) -> frozenset[str]:
    """The modules that a module names in its import statements, those inside functions too."""
    source = source_of(module)
    return frozenset() if source is None else _imports(source, module, _package(module))


def _package(module: str) -> str:
    """What relative imports of a module start from."""
    spec = sys.modules[module].__spec__ if module in sys.modules else importlib.util.find_spec(module)
    return module if spec is not None and spec.submodule_search_locations is not None else module.rpartition(".")[0]


@cache
def _imports(source: bytes, module: str, package: str) -> frozenset[str]:
    found: set[str] = set()
    for node in _executed(_tree(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found |= {alias.name} if alias.name not in DOORS else {alias.name, *_passed_on(alias.name).values()}
        if isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(_passed_on(base).get(alias.name, base) if base in DOORS and inner not in DOORS else inner if _is_module(inner) else base)
    return frozenset(found - {module})


def _base(node: ast.ImportFrom, package: str) -> str:
    """The module that an import statement takes names from."""
    parts = package.split(".")
    return ".".join([*(parts[: len(parts) - node.level + 1] if node.level else ()), *filter(None, [node.module])])


@cache
def _passed_on(door: str) -> dict[str, str]:
    """Name -> defining module, of what a door passes on."""
    source = source_of(door)
    nodes = [node for node in _tree(source).body if isinstance(node, ast.ImportFrom)] if source is not None else []
    return {alias.asname or alias.name: _base(node, door) for node in nodes for alias in node.names}


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below `node`, but for what type checkers alone read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield from (other, *_executed(other))
            continue
        yield child
        yield from _executed(child)


def _is_module(name: str) -> bool:
    """Whether a dotted name of a recorded package is a module, and not something inside one."""
    if name.partition(".")[0] not in packages():
        return False
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False

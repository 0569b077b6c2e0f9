"""Plugins that are one Python file, used without packaging them: `--plugin FILE.py`.

The version of a part from such a file has the hash of the file's meaning at its end, `1+<12 hexadecimal digits>`: so it is in the id of every run
and evaluation that uses the part, and an edit that is more than comments or layout makes other runs of them. A results folder keeps a copy in
`plugins/<stem>-<hash>.py`, from where every process loads the parts of a run whose versions name it. Files of several versions live side by side.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from latentbench.errors import UserError
from latentbench.files import listed, opened, write_atomically
from latentbench.imported import execute_source, meaning, source_of
from latentbench.loading import FOREIGN
from latentbench.part import Part, Registered
from latentbench.registry import KINDS, Registry, build_registry
from latentbench.suites.resolve import PART_KINDS

FOLDER = "plugins"
"""The folder of a results folder that has the copies."""
FROM_FILE = re.compile(r".*\+([0-9a-f]{12})", re.DOTALL)
"""The version of a part that comes from a file of this hash."""
KIND_OF = {**PART_KINDS, "evaluation": "evaluations"}
"""Kinds by what versions call them, where it is not a network."""
Key = tuple[str, str]
"""The kind and the name of a part."""


@dataclass(frozen=True)
class PluginFile:
    """A plugin file as it was read. Files of one stem that mean the same are equal."""

    path: Path = field(compare=False)
    source: bytes = field(compare=False)
    stem: str
    digest: str

    @property
    def name(self) -> str:
        """What its module and plugin are called, and with `.py` its copies."""
        return f"{self.stem}-{self.digest}"


def with_files(registry: Registry, paths: Sequence[Path]) -> Registry:
    """The registry with the parts of plugin files, whose versions tell what the files mean.

    Raises:
        UserError: a file is missing, is not Python, cannot be imported, breaks a rule of plugins or registers nothing; its name is that of an
            installed module; or it registers a part of a name that is taken.
    """
    for file in dict.fromkeys(map(_named, paths)):
        where = f"--plugin {file.path}"
        try:
            parts = _parts(file)
            _check_free(parts, registry)
        except UserError as error:
            raise error.at(where) from error
        registry = registry.with_file(file.name, parts)
    return registry


def keep(registry: Registry, results: Path) -> None:
    """Copy the files that a registry has parts of into a results folder, where they are not there.

    Raises:
        UserError: a copy was changed.
        StoringError: it cannot be written.
    """
    for name in registry.files:
        path, source = results / FOLDER / f"{name}.py", source_of(name)
        if path.exists():
            _copy(path)
        elif source is not None:
            write_atomically(path, source)


def with_stored(registry: Registry, results: Path, *needed: Mapping[str, str]) -> Registry:
    """The registry with the parts that a run or an evaluation needs from the plugin files of a results folder, in place of those of the same names.

    Args:
        registry: the installed parts, or with those of `with_files`.
        results: the results folder.
        needed: `setting:name` -> version, as `Run.plugins` and `EvaluationPlan.versions`.

    Raises:
        UserError: a copy is missing or was changed, or two versions of one part are needed.
    """
    wanted: dict[Key, str] = {}
    for key, version in (item for versions in needed for item in versions.items()):
        setting, _, name = key.partition(":")
        part = (KIND_OF.get(setting, "networks"), name)
        if wanted.setdefault(part, version) != version:
            raise UserError(f"the {KINDS[part[0]].singular} '{name}' is needed in the versions {wanted[part]} and {version} at once")
    for (kind, name), version in wanted.items():
        digest = FROM_FILE.fullmatch(version)
        if digest is not None and getattr(registry.parts[kind].get(name), "version", None) != version:
            file = _stored(results / FOLDER, digest[1], f"{KINDS[kind].singular} '{name}' version {version}")
            registry = registry.with_file(file.name, {key: part for key, part in _parts(file).items() if key == (kind, name)})
    return registry


def _named(path: Path) -> PluginFile:
    """The plugin file that a flag names."""
    where = f"--plugin {path}"
    if path.suffix != ".py":
        raise UserError("expected a Python file, NAME.py", where=where)
    if not path.exists():
        raise UserError("there is no such file", where=where)
    if not (path.stem.isascii() and path.stem.isidentifier()) or keyword.iskeyword(path.stem):
        raise UserError(f"'{path.stem}' is not the name of a Python module (letters, digits and '_'); rename the file", where=where)
    found = _installed(path)
    if found:
        raise UserError(f"its name is that of the installed module '{path.stem}' ({found}); rename the file", where=where)
    return _read(path, path.stem, where)


def _installed(path: Path) -> str:
    """Where an installed module of a file's stem is, that is not this file; empty where there is none."""
    try:
        spec = importlib.util.find_spec(path.stem)
    except ValueError:  # the module that was started, as `__main__`, has no specification
        return path.stem
    if spec is None or spec.origin is None:  # a folder of this name is no module
        return ""
    return "" if Path(spec.origin).exists() and path.samefile(spec.origin) else spec.origin


def _read(path: Path, stem: str, where: str) -> PluginFile:
    """A file whose syntax is right."""
    with opened(path) as file:
        source = file.read()
    try:
        return PluginFile(path, source, stem, meaning(source)[:12])
    except SyntaxError as error:
        raise UserError(f"line {error.lineno}: {error.msg}", where=where) from error
    except (ValueError, RecursionError) as error:  # null bytes; expressions too deep
        raise UserError(f"it is not Python: {error}", where=where) from error


def _stored(folder: Path, digest: str, part: str) -> PluginFile:
    """The copy of this hash in a results folder."""
    paths = listed(folder, f"-{digest}.py")
    if not paths:
        raise UserError(f"{part} comes from a plugin file, and {folder} has no copy of it, *-{digest}.py; run with --plugin and that file")
    return _copy(paths[0])


def _copy(path: Path) -> PluginFile:
    """A copy in a results folder, checked against its name."""
    stem, _, digest = path.stem.rpartition("-")
    advice = "it was changed, and is not what its runs were made with; remove it, and run with --plugin and the file that it was copied from"
    try:
        file = _read(path, stem, str(path))
    except UserError as error:
        raise UserError(f"{error}; {advice}") from error
    if file.digest != digest:
        raise UserError(advice, where=str(path))
    return file


@cache
def _parts(file: PluginFile) -> dict[Key, type[Registered]]:
    """What a file registers, by kind and name. It is executed once, whichever copy of it comes first."""
    try:
        module = execute_source(file.name, file.path, file.source)
    except FOREIGN as error:
        raise UserError(f"it cannot be imported: {type(error).__name__}: {error}") from error
    found = build_registry([(file.name, module)])
    for reason in found.broken.values():
        raise UserError(reason)
    parts = {(kind, name): part for kind, named in found.parts.items() for name, part in named.items()}
    if not parts:
        raise UserError(f"it registers nothing; the hooks are {', '.join(f'register_{kind}' for kind in KINDS)}, each marked with @hookimpl")
    for part in parts.values():
        if part.__module__ != file.name:
            raise UserError(f"it registers {part.__name__} of {part.__module__}; a plugin file registers classes that it defines itself")
    _mark(parts.values(), file.digest)
    return parts


def _mark(parts: Iterable[type[Registered]], digest: str) -> None:
    """Have the versions of parts say which file they come from. Engines have no version: they are in no id."""
    versions = {part: part.version for part in parts if issubclass(part, Part)}  # all of them first: one may inherit another's
    for part, version in versions.items():
        part.version = f"{version}+{digest}"


def _check_free(parts: Iterable[Key], registry: Registry) -> None:
    """Refuse names that another plugin has."""
    for kind, name in parts:
        taken = registry.clashes.get((kind, name), [])
        if name in registry.parts[kind]:
            taken = [registry.providers[registry.parts[kind][name]]]
        if taken:
            raise UserError(f"it registers the {KINDS[kind].singular} '{name}', which plugin '{taken[0]}' registers too; give one another name")

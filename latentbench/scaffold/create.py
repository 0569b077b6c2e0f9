"""`latentbench new KIND NAME`: a package of one part, written from the templates of this folder."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from string import Template

from latentbench.errors import UserError
from latentbench.registry import KINDS, load_registry

TEMPLATES = Path(__file__).parent / "templates"
NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_-]{0,50}[A-Za-z0-9])?")
"""Names of parts that are the end of a package's name, and with '_' for '-' that of a module's."""
FILES = {
    "pyproject.toml": "common/pyproject.toml",
    "README.md": "common/README.md",
    ".gitignore": "common/gitignore",
    ".github/workflows/ci.yml": "common/ci.yml",
    "$module.py": "$kind/module.py",
    "tests/test_$ident.py": "common/test.py",
    "suite.yaml": "$kind/suite.yaml",
}
"""File of a package -> the template that it is made from."""


@dataclass(frozen=True)
class Example:
    """What the package of a kind has: the kind's plural, the end of the class's name, and the example in a few words."""

    kind: str
    suffix: str
    about: str


EXAMPLES = {
    "family": Example("families", "Family", "half-normal latents"),
    "estimator": Example("estimators", "Estimator", "REINFORCE with the other samples of an image as the baseline"),
    "likelihood": Example("likelihoods", "Likelihood", "Laplace distributed pixels"),
    "dataset": Example("datasets", "Data", "pictures of bars under noise"),
    "network": Example("networks", "Network", "one hidden layer each way"),
    "evaluation": Example("evaluations", "Evaluation", "the correlation of different latents over images"),
    "engine": Example("engines", "Engine", "runs one after another, in the process of the command"),
}


def create(kind: str, name: str, folder: Path) -> Path:
    """Write the package `latentbench-<name>` into a folder, and return its path; nothing is written where something is wrong.

    Raises:
        UserError: the name is none, or is taken by an installed part or module; or the folder is missing, or has such a package.
    """
    example = EXAMPLES[kind]
    _check_name(name, example)
    values = _values(kind, name, example)
    _check_classes(values)
    package = folder / f"latentbench-{name}"
    if not folder.is_dir():
        raise UserError(f"{folder} {'is not a folder' if folder.exists() else 'does not exist'}", where="--folder")
    if package.exists():
        raise UserError(f"{package} exists already; choose another name, or another --folder")
    unfinished = Path(tempfile.mkdtemp(prefix=f".{package.name}-", dir=folder))
    try:
        for target, template in FILES.items():
            path = unfinished / Template(target).substitute(values)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = _template(Template(template).substitute(values))
            path.write_text(Template(text).substitute(values), encoding="utf-8")
        unfinished.chmod(0o755)  # a temporary folder is for its owner alone
        unfinished.rename(package)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return package


def _values(kind: str, name: str, example: Example) -> dict[str, str]:
    """What is filled into templates."""
    ident, camel = name.replace("-", "_"), _camel(name)
    return {
        "kind": kind,
        "singular": KINDS[example.kind].singular,
        "name": name,
        "ident": ident,
        "module": f"latentbench_{ident}",
        "package": f"latentbench-{name}",
        "class_name": camel + example.suffix,
        "options": f"{camel}Options",
        "about": example.about,
        "version": importlib.metadata.version("latentbench"),
    }


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split("[-_]+", name))


def _check_name(name: str, example: Example) -> None:
    singular = KINDS[example.kind].singular
    if not NAME.fullmatch(name):
        raise UserError(f"'{name}' is not a name: a letter, then at most 51 letters, digits, '_' and '-', the last one a letter or a digit")
    registry = load_registry()
    if name in registry.parts[example.kind] or (example.kind, name) in registry.clashes:
        raise UserError(f"there is a {singular} '{name}' already; choose another name")
    module = f"latentbench_{name.replace('-', '_')}"
    if importlib.util.find_spec(module) is not None:
        raise UserError(f"there is a module '{module}' already; choose another name")


def _check_classes(values: dict[str, str]) -> None:
    """Refuse a name whose classes would be called as something that the example uses."""
    used = set(re.findall(r"\w+", _template(f"{values['kind']}/module.py")))
    for taken in {values["class_name"], values["options"]} & used:
        raise UserError(f"'{values['name']}' would be the class {taken}, and the example uses another one of that name; choose another name")


def _template(name: str) -> str:
    return (TEMPLATES / f"{name}.template").read_text(encoding="utf-8")

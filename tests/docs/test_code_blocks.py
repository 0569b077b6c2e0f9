"""Code in the documentation: what is marked is run, all else is checked: commands have these flags, suites can be planned, imports are there."""

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from latentbench.cli.app import app
from latentbench.suites.launch import Launch, choose_engine
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite
from tests.docs.blocks import SHELL, blocks, pages, words_of

ROOT = Path(__file__).parents[2]
BLOCKS = [block for page in pages(ROOT) for block in blocks(page)]
MARKED = sorted({block.page for block in BLOCKS if block.runs})


def installs(page):
    """Whether a page writes a plugin, which its suites need: they are planned where they are run."""
    return any(block.file and "@hookimpl" in block.text for block in blocks(page))


def of(*languages):
    return [pytest.param(block, id=str(block)) for block in BLOCKS if block.language in languages]


def check(words):
    """Parse the words of a `latentbench` command; wrong ones raise an exception of typer's."""
    command, name, rest = get_command(app), "latentbench", words
    while hasattr(command, "commands"):
        if not rest or rest[0].startswith("-"):
            command.make_context(name, [word for word in rest if word != "--help"], resilient_parsing=True)
            return
        assert rest[0] in command.commands, f"no command {name} {rest[0]}"
        name, command, rest = f"{name} {rest[0]}", command.commands[rest[0]], rest[1:]
    if "--help" not in rest:
        command.make_context(name, list(rest))


@pytest.mark.parametrize("block", of(*SHELL))
def test_commands_parse(block):
    found = [words for line in block.commands for words in words_of(line) if words[0] == "latentbench"]
    for words in found:
        check(words[1:])
    assert found or block.commands


@pytest.mark.parametrize("block", of("python"))
def test_python_compiles_and_imports_what_there_is(block):
    for statement in ast.walk(ast.parse(block.text)):
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").partition(".")[0] == "latentbench":
            module = importlib.import_module(statement.module)
            assert [alias.name for alias in statement.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize("block", of("yaml"))
def test_suites_can_be_planned_and_profiles_name_an_engine(block, suite_file, registry, tmp_path):
    if "sweeps:" in block.text and not installs(block.page):
        assert make_plan(load_suite(suite_file(block.text)), registry, "cpu").runs
    elif block.text.startswith("engine:"):
        suite_file(block.text, "profile.yaml")
        choose_engine(Launch(profile=str(tmp_path / "profile.yaml")), None, registry)


def environment(folder):
    """The commands of this environment, and modules that a page writes."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(folder), "COLUMNS": "120"}


def write(block, folder):
    """Write the file of a block; a module with hooks is installed as pip would, unless it is in a folder, by the entry point of its hooks' group."""
    (folder / block.file).write_text(block.text)
    if "@hookimpl" in block.text and "/" not in block.file:
        module = Path(block.file).stem
        group = "latentbench.reporting" if re.search(r"register_(figures|derived|notices|studies)", block.text) else "latentbench"
        info = folder / f"{module}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{module} = {module}\n")


@pytest.mark.slow
@pytest.mark.parametrize("page", MARKED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_marked_blocks_run(page, tmp_path):
    for block in (block for block in BLOCKS if block.page == page):
        if block.file:
            write(block, tmp_path)
        if block.runs:
            words = [sys.executable, "-c", block.text] if block.language == "python" else ["bash", "-ec", "\n".join(block.commands)]
            ran = subprocess.run(words, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=900, check=False)
            assert ran.returncode == 0, f"{block}\n{ran.stdout}\n{ran.stderr}"


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("latentbench run a.yaml --scale 0.1 | head > x.txt", [["latentbench", "run", "a.yaml", "--scale", "0.1"], ["head"]]),
        ("A=1 latentbench list && latentbench plan 'a b'  # why", [["latentbench", "list"], ["latentbench", "plan", "a b"]]),
    ],
)
def test_lines_are_split_into_commands(line, commands):
    assert words_of(line) == commands


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["rune", "x.yaml"], "no command latentbench rune"),
        (["data", "fetsh"], "no command latentbench data fetsh"),
        (["run", "x.yaml", "--scal", "1"], "--scal"),
        (["run"], "SUITE"),
        (["list", "familie"], "familie"),
    ],
)
def test_a_wrong_command_is_found(words, problem):
    with pytest.raises((AssertionError, Exception)) as wrong:
        check(words)
    assert problem in getattr(wrong.value, "format_message", wrong.value.__str__)()

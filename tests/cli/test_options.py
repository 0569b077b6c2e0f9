"""Groups of flags: what typer sees of them, and what a command gets."""

from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Annotated

import pytest
import typer

from latentbench.cli.app import COMMANDS
from latentbench.cli.options import DEFAULT_RESULTS, ChangeFlags, EngineFlags, LimitFlags, QueryFlags, Results, SelectionFlags, expanded


@dataclass(frozen=True)
class Flags:
    height: Annotated[int, typer.Option("--height")] = 3
    name: Annotated[str | None, typer.Option("--name")] = None


def test_a_command_gets_its_group_from_the_flags():
    got = []

    def command(*, results: Results = DEFAULT_RESULTS, flags: Flags) -> None:
        got.append((results, flags))

    taken = expanded(command)
    assert {name: parameter.default for name, parameter in signature(taken).parameters.items()} == {
        "results": DEFAULT_RESULTS,
        "height": 3,
        "name": None,
    }
    taken(results=Path("r"), height=5, name="x")
    assert got == [(Path("r"), Flags(5, "x"))]


def test_flags_left_out_change_nothing():
    from latentbench.engine import Limits
    from latentbench.reporting.query import Query
    from latentbench.runner import Selection
    from latentbench.suites.expand import Changes
    from latentbench.suites.launch import Launch

    assert ChangeFlags().changes() == Changes()
    assert EngineFlags().launch() == Launch()
    assert SelectionFlags().selection() == Selection()
    assert LimitFlags().limits() == Limits()
    assert QueryFlags().query() == Query()


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("group", [ChangeFlags, EngineFlags])
def test_run_and_plan_share_the_flags_that_decide_what_is_run(command, group):
    assert set(signature(expanded(COMMANDS[command])).parameters) >= set(group.__dataclass_fields__)

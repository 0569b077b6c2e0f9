"""Groups of flags: what typer sees of them, and what a command gets."""

from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Annotated

import pytest
import typer

from latentbench.cli.app import COMMANDS
from latentbench.cli.options import (
    DEFAULT_RESULTS,
    ChangeFlags,
    EngineFlags,
    LimitFlags,
    QueryFlags,
    Results,
    SelectionFlags,
    StatisticsFlags,
    expanded,
)
from latentbench.errors import UserError
from latentbench.reporting import Query, Statistics
from latentbench.suites.suite import Leaderboard


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
    from latentbench.runner import Selection
    from latentbench.suites.expand import Changes
    from latentbench.suites.launch import Launch

    assert ChangeFlags().changes() == Changes()
    assert EngineFlags().launch() == Launch()
    assert SelectionFlags().selection() == Selection()
    assert LimitFlags().limits() == Limits()
    assert QueryFlags().query() == (Query(), [])
    assert StatisticsFlags().statistics() == Statistics()


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("group", [ChangeFlags, EngineFlags])
def test_run_and_plan_share_the_flags_that_decide_what_is_run(command, group):
    assert set(signature(expanded(COMMANDS[command])).parameters) >= set(group.__dataclass_fields__)


@pytest.mark.parametrize(
    ("text", "names"),
    [("nelbo", ["nelbo"]), ("nelbo, kl", ["nelbo", "kl"]), ("percent_drop(of=nelbo, by=family),kl", ["percent_drop(of=nelbo, by=family)", "kl"])],
)
def test_metrics_are_split_at_commas_outside_brackets(text, names):
    query, others = QueryFlags(metric=text).query()
    assert [query.metric, *others] == names


def test_a_suites_leaderboard_fills_what_flags_leave_out():
    board = Leaderboard(metric="knn_accuracy", rows=["family"], columns=["latent_dim"], index=200, split="train", evaluation="knn(readout=mean)")
    query, _ = QueryFlags().query(board)
    assert query == Query("knn_accuracy", ("family",), ("latent_dim",), "train", 200, evaluations=frozenset({"knn(readout=mean)"}))
    other, _ = QueryFlags(metric="nelbo", rows="estimator").query(board)
    assert other == Query("nelbo", ("estimator",))


def test_a_suites_baseline_is_the_family_of_comparisons_unless_another_is_asked_for():
    board = Leaderboard(metric="nelbo", rows=["family"], comparisons={"baseline": {"family": "gaussian"}})
    assert StatisticsFlags().statistics(board) == Statistics(baseline={"family": "gaussian"}, only_baseline=True)
    assert StatisticsFlags(baseline="family=poisson").statistics(board) == Statistics(baseline={"family": "poisson"})


@pytest.mark.parametrize("text", ["family", "family=", "=a", "family=a,family=b"])
def test_a_baseline_is_settings(text):
    with pytest.raises(UserError, match="expected key=value"):
        StatisticsFlags(baseline=text).statistics()

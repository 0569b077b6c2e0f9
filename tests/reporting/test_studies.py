"""Running studies: what an interrupted one keeps, and what it is held to."""

import pytest

from latentbench.errors import UserError
from latentbench.measure import Measure
from latentbench.part import Options
from latentbench.reporting import studies
from latentbench.reporting.study import Study, Summary
from latentbench.results.store import Store


class CountOptions(Options):
    """Options of `count`."""

    first: int = 1
    metric: str = "count"


measured = []


class Count(Study):
    """Counts."""

    name = "count"
    options_model = CountOptions
    metrics = {"count": Measure(None, "none", "A number.", "rate")}

    def pieces(self):
        return {f"number {n}": lambda n=n: self._piece(n) for n in range(3)}

    def _piece(self, n):
        measured.append(n)
        yield Summary(self.options.metric, self.options.first + n / 3, index=float(n))


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setattr(studies, "study_kind", lambda name: Count)
    measured.clear()


def interrupted_at(number):
    def tell(done, total, label):
        if done == number:
            raise KeyboardInterrupt

    return tell


def test_progress_is_told_before_every_piece(tmp_path):
    told = []
    studies.run_study("count", {}, tmp_path, lambda *progress: told.append(progress))
    assert told == [(0, 3, "number 0"), (1, 3, "number 1"), (2, 3, "number 2")]


def test_an_interrupted_study_stores_nothing_and_continues_where_it_was(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        studies.run_study("count", {}, tmp_path, interrupted_at(2))
    assert Store(tmp_path).read("summaries").empty
    told = []
    assert studies.run_study("count", {}, tmp_path, lambda *progress: told.append(progress)) == 3
    assert (told, measured) == ([(2, 3, "number 2")], [0, 1, 2])
    assert Store(tmp_path).read("summaries")["value"].tolist() == [1, 1 + 1 / 3, 1 + 2 / 3]
    assert not list((tmp_path / "states").iterdir())


@pytest.mark.parametrize("change", ["options", "sources", "damage"])
def test_what_an_interrupted_study_has_measured_otherwise_counts_for_nothing(change, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        studies.run_study("count", {}, tmp_path, interrupted_at(2))
    if change == "sources":
        monkeypatch.setattr(studies, "hashes", lambda modules, core: {"other": "code"})
    if change == "damage":
        (tmp_path / "states" / "study-count.json").write_text("{")
    studies.run_study("count", {"first": 7} if change == "options" else {}, tmp_path, interrupted_at(3))
    assert measured == [0, 1, 0, 1, 2]


def test_a_metric_that_is_not_declared_is_refused(tmp_path):
    with pytest.raises(UserError, match="study 'count' yields the metric 'sum', which it does not declare"):
        studies.run_study("count", {"metric": "sum"}, tmp_path, interrupted_at(3))
    assert not (tmp_path / "states").exists()

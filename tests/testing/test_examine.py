"""Holding a part against laws: what counts as a finding. The laws and the parts are made up."""

from typing import Literal

import pytest
import torch

from latentbench.errors import UserError
from latentbench.part import Options, Part
from latentbench.testing import kinds
from latentbench.testing.chance import means_are
from latentbench.testing.examine import examine, judged, trials_of
from latentbench.testing.kinds import Laws
from latentbench.testing.law import Check, Effort, InapplicableError, Trial, check, holds, remark


class Modes(Options):
    mode: Literal["good", "bad", "raises", "inapplicable", "unbuilt"] = "good"


class Thing(Part):
    name = "thing"
    options_model = Modes


class Deviating(Thing):
    deviations = {"kept": "it is meant to"}


class Stale(Thing):
    deviations = {"nonsense": "once there was such a check"}


class Strange(Part):
    name = "strange"


@check("the mode is good", "another mode")
def kept(subject, effort):
    if subject == "inapplicable":
        raise InapplicableError("it says nothing")
    if subject == "raises":
        raise ValueError("no\nsuch thing")
    yield holds(f"mode {subject}", subject == "good")


@check("nothing is required", "nothing")
def nothing(subject, effort):
    return []


@check("what was compared before the law ended", "the first comparison")
def half(subject, effort):
    yield holds("the first half", subject != "bad")
    raise InapplicableError("there is no second half")


@check("a remark is no comparison", "nothing")
def remarks(subject, effort):
    yield remark("a number worth knowing")


def made(part, options, effort):
    if options.mode == "unbuilt":
        raise RuntimeError("cannot be built")
    return options.mode


@pytest.fixture(autouse=True)
def _laws(monkeypatch):
    monkeypatch.setattr(kinds, "LAWS", (Laws(Thing, "thing", (kept, nothing, half, remarks), made),))


def finding(mode, name, part=Thing):
    (found,) = examine(part, Modes(mode=mode), only=[name]).findings
    return found


def test_a_law_that_is_kept():
    found = finding("good", "kept")
    assert (found.status, found.comparisons, found.broken, found.false_alarm) == ("passed", 1, [], 0.0)
    assert (found.law, found.cause) == ("the mode is good", "another mode")


def test_a_broken_law_has_the_numbers_and_the_options():
    found = finding("bad", "kept")
    assert found.status == "failed"
    assert found.broken == ["mode bad (mode=bad)"]


def test_a_check_that_compared_nothing_fails():
    found = finding("good", "nothing")
    assert found.status == "failed"
    assert found.broken == ["nothing was compared"]


def test_a_remark_is_told_and_is_no_comparison():
    found = finding("good", "remarks")
    assert found.status == "failed"
    assert found.comparisons == 0
    assert found.remarks == ["a number worth knowing (its defaults)"]


def test_an_exception_of_the_part_is_a_finding():
    (broken,) = finding("raises", "kept").broken
    assert broken.startswith("it raised ValueError: no such thing, in test_examine.py:")
    assert broken.endswith("(mode=raises)")


def test_an_exception_when_the_part_is_built_is_a_finding_of_every_check():
    report = examine(Thing, Modes(mode="unbuilt"))
    assert [found.status for found in report.findings] == ["failed"] * 4
    assert all("cannot be built" in found.broken[0] for found in report.findings)


def test_an_interruption_is_no_finding(monkeypatch):
    def interrupted(subject, effort):
        raise KeyboardInterrupt

    monkeypatch.setattr(kinds, "LAWS", (Laws(Thing, "thing", (Check("kept", "", "", interrupted),), made),))
    with pytest.raises(KeyboardInterrupt):
        examine(Thing)


def test_a_law_that_says_nothing_is_inapplicable_with_its_reason():
    found = finding("inapplicable", "kept")
    assert (found.status, found.reason) == ("inapplicable", "it says nothing")


def test_what_was_compared_before_a_law_said_nothing_counts():
    assert finding("good", "half").status == "passed"
    assert finding("bad", "half").broken == ["the first half (mode=bad)"]


def test_a_law_that_says_nothing_for_one_choice_of_options_holds_for_the_others():
    (found,) = examine(Thing, only=["kept"]).findings
    assert found.status == "failed"
    assert found.comparisons == 4  # good, bad, raises, unbuilt


def test_a_part_that_does_not_apply_with_any_options_is_inapplicable(monkeypatch):
    def refuses(part, options, effort):
        raise InapplicableError("no decoder")

    monkeypatch.setattr(kinds, "LAWS", (Laws(Thing, "thing", (kept,), refuses),))
    report = examine(Thing, Modes())
    assert report.findings[0].status == "inapplicable"
    assert report.left_out == ["its defaults: left out, no decoder"]
    assert not report.ok


def test_a_declared_deviation_that_is_found_is_known():
    found = finding("bad", "kept", Deviating)
    assert (found.status, found.reason) == ("known deviation", "it is meant to")
    assert found.broken


def test_a_declared_deviation_that_is_not_found_is_told():
    found = finding("good", "kept", Deviating)
    assert (found.status, found.reason) == ("unexpected pass", "it is meant to")


def test_a_declared_deviation_excuses_no_other_check():
    assert finding("bad", "half", Deviating).status == "failed"


@pytest.mark.parametrize(
    ("part", "only", "message"),
    [
        (Thing, ["kep"], r"unknown check 'kep' \(did you mean 'kept'\?\); known: half, kept, nothing, remarks"),
        (Stale, [], "Stale declares a deviation from an unknown check 'nonsense'"),
        (Strange, [], "there are no checks for .*Strange.*; there are for classes derived from Thing"),
    ],
)
def test_unknown_names_and_classes_are_refused(part, only, message):
    with pytest.raises(UserError, match=message):
        examine(part, only=only)


def test_checks_that_are_not_asked_for_are_named():
    report = examine(Thing, Modes(), only=["kept"])
    assert report.unasked == ["nothing", "half", "remarks"]
    assert report.counts == {"passed": 1}


def test_every_finding_is_told_as_it_comes():
    told = []
    report = examine(Thing, Modes(), found=lambda found: told.append(found.check))
    assert told == [found.check for found in report.findings] == ["kept", "nothing", "half", "remarks"]


@pytest.mark.parametrize(("p", "status"), [(4e-7, "failed"), (6e-7, "passed")])
def test_comparisons_with_chance_share_the_level(p, status):
    found = judged(kept, [Trial("a", p=p), Trial("b", p=0.3), holds("c", True)], None, 1e-6)
    assert (found.status, found.level, found.false_alarm, found.smallest_p) == (status, 5e-7, 1e-6, p)
    assert found.comparisons == 3


def test_what_a_check_would_find_is_that_of_its_sharpest_comparison_at_the_shared_level():
    trials = [Trial("a", p=0.2, resolution=lambda n: f"a{n}"), Trial("b", p=0.1, resolution=lambda n: f"b{n}"), Trial("c", p=0.5)]
    assert judged(kept, trials, None, 1e-6).finds == "b3"


def test_a_p_value_that_is_no_number_fails():
    assert judged(kept, [Trial("a", p=float("nan"))], None, 1e-6).status == "failed"


def test_false_alarms_of_a_check_of_many_comparisons_are_no_more_frequent_than_its_level():
    """400 checks of 20 comparisons each at level .05: 44 rejected or more would be by chance with probability 1e-6."""
    values = torch.randn(400, 200, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    effort = Effort(level=0.05)
    failed = sum(judged(kept, list(means_are("m", v, torch.zeros(20), effort)), None, effort.level).status == "failed" for v in values)
    assert failed < 44


def test_trials_of_a_check_are_those_that_are_judged():
    assert [trial.text for trial in trials_of(Thing, "kept", Modes())] == ["mode good (its defaults)"]
    assert trials_of(Thing, "remarks", Modes()) == []
    with pytest.raises(UserError, match="unknown check"):
        trials_of(Thing, "none")

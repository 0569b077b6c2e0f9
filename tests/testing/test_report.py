"""What a report says, for people and for programs."""

import json

import pytest

from latentbench.testing.report import Finding, Report

PASSED = Finding("shapes", "passed", "a law", "a cause", comparisons=12)
CHANCE = Finding("mean", "passed", "a law", "a cause", comparisons=5, false_alarm=1e-6, level=2e-7, smallest_p=0.03, finds="0.1, 3 %")
FAILED = Finding("kl", "failed", "KL = E ln q/p", "a factor", comparisons=9, broken=[f"latent {i} is wrong" for i in range(7)], remarks=["bias .2"])
KNOWN = Finding("score", "known deviation", "E score = 0", "a factor", comparisons=1, broken=["it is 2"], reason="an upper bound")
UNEXPECTED = Finding("rows", "unexpected pass", "a law", "a cause", comparisons=1, reason="it was wrong once")
INAPPLICABLE = Finding("prior", "inapplicable", "a law", "a cause", reason="it has no prior")


def text(*findings, **more):
    return Report("family", "mine", findings, **more).text()


def test_a_pass_says_how_much_was_compared():
    assert "         passed  shapes: 12 comparisons\n" in text(PASSED)


def test_a_pass_with_chance_says_its_false_alarm_and_what_it_would_find():
    assert "passed  mean: 5 comparisons, smallest p 0.03, false alarm at most 1e-06; would find 0.1, 3 %\n" in text(CHANCE)


def test_a_failure_says_the_law_the_numbers_and_the_usual_cause():
    lines = [line.strip() for line in text(FAILED).splitlines()]
    assert lines[:2] == ["failed  kl", "law: KL = E ln q/p"]
    assert lines[2:7] == [f"found: latent {i} is wrong" for i in range(5)]
    assert lines[7:10] == ["and 2 more of 9 comparisons", "usual cause: a factor", "bias .2"]


def test_a_known_deviation_says_its_reason_and_the_numbers_and_no_cause():
    said = text(KNOWN)
    assert "known deviation  score: an upper bound" in said
    assert "found: it is 2" in said
    assert "usual cause" not in said


@pytest.mark.parametrize(
    ("finding", "line"), [(UNEXPECTED, "unexpected pass  rows: it was wrong once"), (INAPPLICABLE, "inapplicable  prior: it has no prior")]
)
def test_other_findings_say_their_reason(finding, line):
    assert line in text(finding)


def test_the_end_says_what_was_tried_and_counts():
    said = text(PASSED, CHANCE, FAILED, variants=["its defaults", "limit=3"], left_out=["mode=b: left out, no file"], unasked=["rows"])
    assert said.splitlines()[-3:] == [
        "tried with its defaults; limit=3",
        "mode=b: left out, no file",
        "family 'mine' does not conform: 2 passed, 1 failed, 1 not asked for, 0 s",
    ]


def test_counts_are_of_every_outcome():
    report = Report("family", "mine", [PASSED, CHANCE, FAILED, KNOWN, UNEXPECTED, INAPPLICABLE], unasked=["a", "b"])
    assert report.counts == {"passed": 2, "failed": 1, "known deviation": 1, "unexpected pass": 1, "inapplicable": 1}


@pytest.mark.parametrize(
    ("findings", "ok"),
    [
        ([PASSED], True),
        ([PASSED, INAPPLICABLE], True),
        ([KNOWN], True),
        ([UNEXPECTED], True),
        ([PASSED, FAILED], False),
        ([INAPPLICABLE], False),
        ([], False),
    ],
)
def test_a_part_conforms_where_something_was_checked_and_nothing_failed(findings, ok):
    assert Report("family", "mine", findings, unasked=["rows"]).ok is ok


def test_json_has_everything():
    read = json.loads(Report("family", "mine", [CHANCE, FAILED], ["its defaults"], ["b: left out"], ["rows"]).json())
    assert (read["kind"], read["name"], read["ok"]) == ("family", "mine", False)
    assert read["counts"] == {"passed": 1, "failed": 1}
    assert (read["variants"], read["left_out"], read["unasked"]) == (["its defaults"], ["b: left out"], ["rows"])
    assert read["findings"][0]["smallest_p"] == 0.03
    assert len(read["findings"][1]["broken"]) == 7

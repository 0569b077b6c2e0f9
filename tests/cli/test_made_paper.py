"""Every command of the documentation that reads results, and every suite's leaderboard, verdicts and figures, on a folder of all runs of paper.yaml,
and on one of all runs of the suites beyond it.

Nothing was trained for them: the ids are true and the numbers random. What is tested is that each command answers, about the runs that were asked
for.
"""

import json
import shlex
from pathlib import Path

import pytest
import yaml

from latentbench.reporting.extensions import load_reporting
from latentbench.reporting.studies import run_study
from latentbench.results.asked import records
from latentbench.suites.suite import load_suite
from tests.docs.blocks import pages
from tests.made import make

ROOT = Path(__file__).parents[2]
READING = ("compare", "verify", "figure", "report", "show", "status", "list")
"""Commands that read results, and neither train nor measure."""
PAPER = ["paper.yaml", *yaml.safe_load((ROOT / "suites" / "paper.yaml").read_text())["include"]]
BEYOND = sorted({path.name for path in (ROOT / "suites").glob("*.yaml")} - {*PAPER, "quick.yaml"})
FIGURES = {"recovery": "ground_truth", "gradients": "hitchhiker", "metabolic_cost": "metabolic_cost", "inference_dynamics": "iterative_small"}
"""Figures of suites beyond the paper. Made-up runs have no receptive fields, which v1_card draws; relaxation_quality is of a study."""
pytestmark = pytest.mark.slow


def commands():
    """The commands of the documentation in lines of their own that read results."""
    for page in (*pages(ROOT), ROOT / "results" / "published" / "README.md"):
        for line in page.read_text().splitlines():
            words = shlex.split(line, comments=True) if line.startswith("    latentbench ") else []
            if len(words) > 1 and words[1] in READING:
                yield pytest.param(words[1:], id=" ".join(words[1:]))


def suites(has, names):
    """The suites that have an entry of that name."""
    return [name for name in names if getattr(load_suite(ROOT / "suites" / name), has)]


def filled(place, names):
    """A folder with `suites` and with `results`, which has the made-up runs of these suites and the published numbers."""
    (place / "suites").symlink_to(ROOT / "suites")
    whole = place / "whole.yaml"
    whole.write_text(yaml.safe_dump({"name": "whole", "include": [f"suites/{name}" for name in names]}))
    make(whole, place / "results", failed=0.01, recorded=[ROOT / "suites" / name for name in names])
    (place / "results" / "published").symlink_to(ROOT / "results" / "published")
    return place


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """The folder of the paper's suites."""
    return filled(tmp_path_factory.mktemp("paper"), PAPER)


@pytest.fixture(scope="module")
def beyond(tmp_path_factory):
    """The folder of the others, and of a study."""
    place = filled(tmp_path_factory.mktemp("beyond"), BEYOND)
    run_study("relaxation_quality", {"trials": 2, "samples": 100}, place / "results", lambda *progress: None)
    return place


@pytest.fixture
def answer(cli, request, monkeypatch):
    """What a command line answers in the folder that it is about; it must not fail for another reason than `codes` say."""

    def call(*words, codes=(0,)):
        about_others = any(word == f"suites/{name}" for name in BEYOND for word in words) or "relaxation" in " ".join(map(str, words))
        about_others = about_others and "results/published" not in words
        monkeypatch.chdir(request.getfixturevalue("beyond" if about_others else "paper"))
        found = cli(*words)
        assert found.code in codes, found.err
        assert "Traceback" not in found.err
        return found

    return call


@pytest.mark.parametrize("words", list(commands()))
def test_commands_of_the_documentation_work_as_printed(words, answer):
    assert answer(*words, codes=(0, 1) if words[0] == "verify" else (0,)).out.strip()


@pytest.mark.parametrize("suite", suites("leaderboard", PAPER))
def test_a_suite_s_leaderboard_counts_every_seed_of_its_runs_once(suite, answer, paper):
    """In its cells, as a value or as one that is missing for a reason; sparse coders have no NELBO."""
    loaded = load_suite(ROOT / "suites" / suite)
    (record,) = records(paper / "results", loaded.digest)
    board = json.loads(answer("compare", "results", "--suite", f"suites/{suite}", "--format", "json").out)
    counted = sum(cell[kind] for row in board["cells"] for cell in row if cell for kind in ("n", "failed", "missing", "nan", "infinite"))
    coders = sum(row["estimator"] is None for row in record.runs.values())
    assert counted == len(record.runs) - (0 if loaded.leaderboard.metric == "sse_at_mean" else coders)


@pytest.mark.parametrize("suite", suites("leaderboard", PAPER + BEYOND))
def test_a_suite_s_leaderboard_is_printed(suite, answer):
    several = len(load_suite(ROOT / "suites" / suite).sweeps[0].axes["seed"]) > 1
    assert ("±" if several else "n = 1 seed") in answer("compare", "results", "--suite", f"suites/{suite}").out


@pytest.mark.parametrize("suite", suites("expect", PAPER + BEYOND))
def test_every_published_value_of_a_suite_has_a_verdict(suite, answer):
    """Random numbers differ from the published ones, so the exit code may say so; where a value has no run, the suite has one."""
    lines = json.loads(answer("verify", f"suites/{suite}", "--results", "results", "--format", "json", codes=(0, 1)).out)["values"]
    assert lines
    assert {line["verdict"] for line in lines} <= {"same", "different", "cannot tell", "not run"}
    assert all(line["n"] or line["reason"] for line in lines)
    if suite in PAPER:
        assert [line for line in lines if line["reason"].startswith("no run of it")] == []


@pytest.mark.parametrize("name", sorted(load_reporting().parts["figures"].keys() - {"v1_card"}))
def test_figures_are_drawn(name, answer, tmp_path):
    """Those of the paper choose their runs; others draw all that there are, and are asked for those of a suite."""
    chosen = () if name.startswith(("fig", "relaxation")) else ("--suite", f"suites/{FIGURES.get(name, 'table3')}.yaml")
    answer("figure", name, "--results", "results", *chosen, "--out", tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_the_report_is_one_file(answer, tmp_path):
    answer("report", "results", "--suite", "suites/paper.yaml", "--out", tmp_path / "report.html")
    assert 1e5 < (tmp_path / "report.html").stat().st_size < 10e6


def test_a_failed_run_says_why(answer):
    assert "non-finite" in answer("list", "runs", "--results", "results").out

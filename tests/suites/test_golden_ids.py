"""Run ids are a promise: whoever has stored results finds them again.

`tests/golden/run_ids.txt` holds the id of every run of quick.yaml and paper.yaml. A line changes only with the version of a part whose numbers
changed.
"""

from collections import Counter

import pytest

from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite


def golden(root, name):
    lines = (root / "tests" / "golden" / "run_ids.txt").read_text().splitlines()
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


@pytest.mark.parametrize(("name", "runs"), [("quick", 52), ("paper", 1760)])
def test_ids_are_the_golden_ones(name, runs, root, registry):
    plan = make_plan(load_suite(root / "suites" / f"{name}.yaml"), registry, "cpu")
    ids = [f"{item.run.id} {item.run.about}" for item in plan.runs]
    assert len(ids) == runs
    assert ids == golden(root, name)


def test_ids_of_evaluations_are_the_golden_ones(root, registry):
    """`tests/golden/evaluation_ids.txt` has suite, id and how many runs are measured by it, for every suite."""
    lines = []
    for path in sorted((root / "suites").glob("*.yaml")):
        counts = Counter(e.id for item in make_plan(load_suite(path), registry, "cpu").runs for e in item.evaluations)
        lines += [f"{path.stem} {evaluation} {runs}" for evaluation, runs in sorted(counts.items())]
    assert lines == (root / "tests" / "golden" / "evaluation_ids.txt").read_text().splitlines()

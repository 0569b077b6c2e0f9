"""`latentbench list metrics`: what plugins declare, and what a results folder has."""

import json
import re

from latentbench.results.declared_metrics import declarations_in
from latentbench.results.store import Store


def test_every_declared_metric_has_direction_unit_meaning_and_index(cli, registry):
    out = cli("list", "metrics").out
    for name, measure in registry.declarations().items():
        direction = f"{measure.better} is better" if measure.better else "no direction"
        assert re.search(rf"^{re.escape(f'{name}: {direction}, {measure.unit}')}$", out, re.MULTILINE), name
    words = " ".join(out.split())
    assert "Latents that are active. By active_units." in words
    assert "knn_accuracy: higher is better" in words
    assert re.search(r"Index: sample_size\.", words)
    assert re.search(r"sparse_coding_cost: lower is better, nats .* By elbo\.", words)
    assert max(map(len, out.splitlines())) <= 80


def test_stored_metrics_with_splits_indices_and_runs(cli, tmp_path):
    """Summaries, and metrics that nothing was declared of, are listed too."""
    store = Store(tmp_path)
    declared = {"knn_accuracy": {"better": "higher", "unit": "share", "meaning": "Right \x1b[2J.", "index": "sample_size"}}
    for run_id in ("a", "b"):
        key = {"run_id": run_id, "evaluation": "knn", "evaluation_id": "knn-1"}
        point = {**key, "metric": "knn_accuracy", "index_name": "sample_size"}
        rows = [{**point, "split": s, "index": float(i), "value": 0.1} for s in ("test", "validation") for i in (1, 2, 3, 4, 5, 6, 700)]
        store.write_rows("metrics", f"{run_id}-knn-1", [*rows, {**key, "metric": "undeclared", "split": "test", "value": 1.0}])
        store.write_rows("evaluations", f"{run_id}-knn-1", [{**key, "options": "{}", "metrics": json.dumps(declared)}])
    store.write_rows("summaries", "x", [{"metric": "published", "split": "validation", "value": 1.0, "source": "a paper"}])
    assert (
        cli("list", "metrics", "--results", tmp_path).out
        == """\
knn_accuracy: higher is better, share
    Right \\x1b[2J. By knn. Index: sample_size 1, 2, ..., 700. On test,
    validation, of 2 runs.
published: not declared
    By summaries. On validation.
undeclared: not declared
    By knn. On test, of 2 runs.
"""
    )


def test_declarations_that_are_none_are_left_out():
    texts = ['{"a": {"better": "lower", "unit": "nats", "meaning": "A."}, "b": {"better": "up"}, "c": [1], "d": {"unit": 3}, "e": {}}', None]
    found = declarations_in(texts)
    assert sorted(found) == ["a", "e"]
    assert (found["a"].better, found["a"].unit, found["e"].better, found["e"].unit) == ("lower", "nats", None, "")

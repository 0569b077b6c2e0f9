"""Results folders with many runs, or with texts that would do harm in a page."""

from __future__ import annotations

import json

import numpy as np

from latentbench.results.store import Store
from latentbench.results.tables import TABLES

HOSTILE = (
    "<script>window.pwned = 1</script>",
    '"onmouseover="window.pwned = 1',
    "{{7*7}}",
    "</script><script>window.pwned = 1</script>",
    "</style><img src=x onerror='window.pwned = 1'>",
    "--><!--<script>",
    "\u202etxt.exe\u2066",
    "javascript:window.pwned = 1",
    "\\u003cscript\\u003e ${7*7} `datum.x`",
    "[nelbo](https://example.org)",
)
DECLARED = {
    "nelbo": {"better": "lower", "unit": "nats", "meaning": "Bound."},
    "kl": {"better": None, "unit": "nats", "meaning": "Divergence."},
    "reconstruction": {"better": "lower", "unit": "nats", "meaning": "Misfit."},
}
SETTINGS = {"estimator": "mc", "likelihood": "gaussian", "encoder": "linear", "decoder": "linear", "latent_dim": 8, "beta": 1.0, "dtype": "float32"}
EMPTY = dict.fromkeys(("family_options", "estimator_options", "dataset_options", "likelihood_options", "encoder_options", "decoder_options"), "{}")


def many(folder, n, run_ids=None, failed=False, seeds=5, steps=20, **settings):
    """Write `n` runs, `seeds` of every model, as compact files; their ids."""
    draw = np.random.default_rng(0)
    ids = run_ids or [f"{i:016x}" for i in range(n)]
    rows = []
    for i, run_id in enumerate(ids):
        model = i // seeds
        named = {"family": f"family{model % 8}", "dataset": f"data{model // 8 % 4}", "latent_dim": 8 * (1 + model // 32), **settings}
        rows.append(
            {
                **SETTINGS,
                **EMPTY,
                "training": '{"steps": 100}',
                "device": "cpu",
                "limit_data": 1.0,
                "plugins": "{}",
                **named,
                **_ran(run_id, i % seeds, failed),
            }
        )
    write(folder, "runs", rows)
    if not failed:
        write(folder, "evaluations", [_evaluated(run_id) for run_id in ids])
        write(folder, "metrics", [row for run_id in ids for row in _metrics(run_id, draw)])
        write(folder, "history", [row for run_id in ids for row in _history(run_id, draw, steps)])
    return ids


def with_settings(folder, texts):
    """A run for every text, which is its family, its data set, its host, and its failure."""
    rows = []
    for i, text in enumerate(texts):
        many_of = {"family": text, "dataset": text, "host": text, "device_name": text, "git_sha": text, "versions": json.dumps({text: text})}
        failure = {"failure_kind": "evaluation", "failure_message": f"Traceback\n{text}\n{text}"} if i % 2 else {}
        clean = text.encode(errors="replace").decode()
        rows.append(
            {**SETTINGS, **EMPTY, "training": "{}", "device": "cpu", "plugins": "{}", **_ran(f"{i:04x}{clean}", 1, False), **many_of, **failure}
        )
    write(folder, "runs", rows)
    ids, draw = [row["run_id"] for row in rows], np.random.default_rng(0)
    write(folder, "evaluations", [_evaluated(run_id) for run_id in ids])
    write(folder, "metrics", [row for run_id in ids for row in _metrics(run_id, draw)])
    write(folder, "history", [row for run_id in ids for row in _history(run_id, draw, 5)])
    return ids


def write(folder, table, rows):
    """Write a compact file of a table."""
    Store(folder).write_rows(table, "compact-000001", [{name: row.get(name) for name in TABLES[table]} for row in rows])


def _ran(run_id, seed, failed):
    cost = {"wall_seconds": 2.0, "train_seconds": 1.5, "device_seconds": 1.4, "steps_per_second": 60.0, "peak_memory_bytes": 10**8}
    done = {"status": "done", "cost": "nelbo", "steps": 100, **cost}
    broken = {"status": "failed", "failure_kind": "error", "failure_message": "Traceback\nValueError: no", "wall_seconds": 1.0}
    return {"run_id": run_id, "seed": seed, "host": "here", "versions": '{"python": "3.11", "torch": "2.6"}', **(broken if failed else done)}


def _evaluated(run_id):
    return {"run_id": run_id, "evaluation": "elbo", "evaluation_id": "elbo-1", "options": "{}", "metrics": json.dumps(DECLARED), "seconds": 1.0}


def _metrics(run_id, draw):
    about = {"run_id": run_id, "evaluation": "elbo", "evaluation_id": "elbo-1", "split": "validation", "n": 100, "standard_error": 0.1}
    return [{**about, "metric": metric, "value": float(draw.normal(10))} for metric in DECLARED]


def _history(run_id, draw, steps):
    return [
        {"run_id": run_id, "step": 50 * (step + 1), "name": name, "value": float(draw.normal(10 / (step + 1)))}
        for name in ("kl", "reconstruction")
        for step in range(steps)
    ]

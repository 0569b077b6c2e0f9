"""Small results folders of made-up numbers, run by run, for tests of what reads results."""

import hashlib
import json

from latentbench.results.store import Store

COMMON = {
    "family": "poisson", "estimator": "mc", "dataset": "van_hateren", "encoder": "linear", "decoder": "linear", "latent_dim": 512, "beta": 1.0,
    "likelihood": "gaussian", "dtype": "float32", "device": "cpu", "limit_data": 1.0, "status": "done", "seed": 1,
}  # fmt: skip
NESTED = ("training", "family_options", "estimator_options", "encoder_options", "dataset_options")


class Rows:
    """A results folder that runs are added to; they are stored when its path is asked for."""

    def __init__(self, path):
        self.store = Store(path)
        self.rows = {}

    @property
    def path(self):
        for table, rows in self.rows.items():
            self.store.write_rows(table, "all", rows)
        return self.store.path

    def add(self, table, rows):
        self.rows.setdefault(table, []).extend(rows)

    def run(self, *, metrics=None, units=None, history=None, arrays=None, declared=None, options=None, split="validation", **settings):
        """A run: `metrics`, `units` and `arrays` by evaluation; a metric is a number, or numbers by index. Returns its id."""
        row = {**COMMON, **settings}
        row |= {name: json.dumps(row.get(name, {}), sort_keys=True) for name in NESTED}
        run_id = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]
        for evaluation in {**(metrics or {}), **(units or {}), **(arrays or {})}:
            key = {"run_id": run_id, "evaluation": evaluation, "evaluation_id": f"{evaluation}-1"}
            name = f"{run_id}-{evaluation}-1"
            values = [
                {**key, "split": split, "metric": metric, "index_name": None if index is None else "index", "index": index, "value": value}
                for metric, given in (metrics or {}).get(evaluation, {}).items()
                for index, value in (given if isinstance(given, dict) else {None: given}).items()
            ]
            numbers = [
                {**key, "split": split, "unit": unit, "metric": metric, "value": value}
                for metric, given in (units or {}).get(evaluation, {}).items()
                for unit, value in enumerate(given)
            ]
            if evaluation in (arrays or {}):
                self.store.write_arrays(run_id, f"{evaluation}-1", arrays[evaluation])
            if numbers:
                self.store.write_rows("units", name, numbers)
            self.add("evaluations", [{**key, "options": json.dumps(options or {}), "metrics": json.dumps(declared or {})}])
            self.add("metrics", values)
        for name, curve in (history or {}).items():
            self.add("history", [{"run_id": run_id, "step": step, "name": name, "value": value} for step, value in curve.items()])
        self.add("runs", [{**row, "run_id": run_id}])
        return run_id

    def summary(self, metric, value, interval=None, index=None, split="validation", **settings):
        """A published value."""
        row = {**{name: value for name, value in COMMON.items() if name not in ("seed", "status", "device")}, **settings}
        row |= {"metric": metric, "value": value, "interval": interval, "index": index, "split": split, "source": "a paper"}
        self.add("summaries", [row])

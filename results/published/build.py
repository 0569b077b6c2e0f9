"""Write the paper's and the authors' numbers as rows of a latentbench store.

    python results/published/build.py FOLDER

reads published.csv, published_seeds.csv, published_beta_lifetime.csv, published_sparse_coding.csv and published_lca_on_vae_dictionaries.csv
from FOLDER, and writes the tables beside this file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from latentbench.results.store import Store
from latentbench.suites.settings import digest

PAPER = "Poisson VAE (NeurIPS 2024)"
RENAMED = {f"knn_accuracy_{n}": ("knn_accuracy", "sample_size", n) for n in (200, 1000, 5000)} | {
    "shattering_dim": ("shattering_accuracy", None, None)
}
METRICS = ("nelbo", "reconstruction", "kl", "sse_at_location", "active_fraction", "lifetime_sparsity", "population_sparsity")
COMMON = {"likelihood": "gaussian", "decoder": "linear", "protocol": "paper", "dtype": "float32", "limit_data": 1.0}


def main(folder: Path) -> None:
    """Write all tables."""
    store = Store(Path(__file__).parent)
    printed(store, read(folder, "published"))
    seeds(store, "seeds", read(folder, "published_seeds"), "authors' frames of ")
    beta = read(folder, "published_beta_lifetime")
    fixed = {"estimator": "mc", "encoder": "linear", "latent_dim": 512, "epochs": 3000, "source": "figure 5a"}
    seeds(store, "beta_lifetime", [{**row, **fixed} for row in beta], "authors' frames of ")
    sparse_coding(store, read(folder, "published_sparse_coding"))
    on_dictionaries(store, read(folder, "published_lca_on_vae_dictionaries"))


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a CSV file, without empty cells."""
    frame = pd.read_csv(folder / f"{name}.csv")
    return [{str(k): v for k, v in row.items() if not pd.isna(v)} for row in frame.to_dict("records")]


def printed(store: Store, rows: list[dict[str, Any]]) -> None:
    """The printed tables and the counts of figure 4, with printed 99 % bars."""
    for table in sorted({row["table"] for row in rows}):
        source = f"{PAPER}, {table[:-1].capitalize()} {table[-1]}"
        summaries = []
        for row in (row for row in rows if row["table"] == table):
            metric, index_name, index = RENAMED.get(row["metric"], (row["metric"], None, None))
            summaries.append(
                {
                    **COMMON,
                    **{key: row.get(key) for key in ("family", "estimator", "dataset", "encoder", "decoder", "latent_dim")},
                    **{"beta": 1.0, "estimator_options": options(covariance=row.get("covariance")), "split": "validation", "source": source},
                    **{"metric": metric, "index_name": index_name, "index": index, "value": row["value"], "interval": row.get("ci99")},
                }
            )
        store.write_rows("summaries", table, summaries)


def seeds(store: Store, name: str, rows: list[dict[str, Any]], source: str) -> None:
    """The authors' fits, a run a seed."""
    runs = []
    for row in rows:
        run = {
            **COMMON,
            **{key: row[key] for key in ("family", "estimator", "dataset", "encoder", "latent_dim", "beta", "seed")},
            **{"estimator_options": options(covariance=row.get("covariance")), "training": options(epochs=row["epochs"]), "cost": "nelbo"},
            "source": source + row["source"].replace("; ", " and ").replace(",", ""),
        }
        runs.append((run, row))
    write(store, name, runs)


def sparse_coding(store: Store, rows: list[dict[str, Any]]) -> None:
    """The authors' LCA and ISTA fits. Their frame does not say which schedule of lambda a fit had, only where it started."""
    runs = []
    for number, row in enumerate(rows):
        run = {
            **{**COMMON, "dataset": row["dataset"], "family": row["family"], "latent_dim": 512, "seed": row["seed"]},
            "family_options": options(iterations=row["iterations"], l1_weight=f"{row['l1_weight_start']}:?:?", row=number),
            "training": options(learning_rate=row["learning_rate"], epochs=100),
            **{"cost": "sparse_coding_cost", "source": f"authors' sparse-coding sweep graded {row['authors_grade']} by them"},
        }
        runs.append((run, row))
    write(store, "sparse_coding", runs)


def on_dictionaries(store: Store, rows: list[dict[str, Any]]) -> None:
    """Figure 5b: LCA inference on the dictionaries that VAEs learnt."""
    summaries = [
        {
            **{**COMMON, "dataset": row["dataset"], "family": row["family"], "latent_dim": 512, "split": "validation"},
            **{"metric": name, "index_name": "l1_weight", "index": row["l1_weight"], "value": row[metric]},
            "source": f"{PAPER}, Figure 5b",
        }
        for row in rows
        for metric, name in (("sse_at_location", "lca_sse"), ("lifetime_sparsity", "lca_lifetime_sparsity"))
    ]
    store.write_rows("summaries", "figure5b", summaries)


def write(store: Store, name: str, runs: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Runs and their metrics as one fragment of each table."""
    named = [({**run, "run_id": digest({"published": run}), "status": "done"}, row) for run, row in runs]
    metrics = [
        {
            **{"run_id": run["run_id"], "evaluation": "published", "evaluation_id": "published", "split": "validation"},
            **{"metric": metric, "value": row[metric]},
        }
        for run, row in named
        for metric in METRICS
        if metric in row
    ]
    store.write_rows("runs", name, [run for run, _ in named])
    store.write_rows("metrics", name, metrics)


def options(**given: Any) -> str:
    """Nested settings as JSON."""
    return json.dumps({key: value for key, value in given.items() if value is not None}, sort_keys=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))

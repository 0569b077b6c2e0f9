"""The numbers of "Poisson Variational Autoencoder": printed tables, the authors' fits, their sparse coders."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from store import PAPER, constant, key_of, read, settings, text, write_runs, write_summaries

from latentbench.results.store import Store

RENAMED = {f"knn_accuracy_{n}": ("knn_accuracy", "sample_size", float(n)) for n in (200, 1000, 5000)} | {
    "shattering_dim": ("shattering_accuracy", None, None),
    "nelbo_drop_percent": ("percent_drop", None, None),
}
"""Names in the CSV file -> metric, its index and where."""
MEASURED = ("nelbo", "reconstruction", "kl", "sse_at_location", "active_fraction", "lifetime_sparsity")
IDENTITY = ("dataset", "family", "estimator", "covariance", "encoder", "decoder", "latent_dim", "beta", "epochs", "seed")
"""What tells the authors' fits apart."""
GRADES = ("bad", "good", "best")
NOT_FINITE = {"status": "failed", "failure_kind": "non-finite", "failure_message": "the authors' frame has no losses of this fit"}


def write_paper(store: Store, folder: Path) -> None:
    """All of them."""
    printed(store, read(folder, "published"))
    fits(store, read(folder, "published_seeds"), read(folder, "published_beta_lifetime"))
    sparse_coders(store, read(folder, "published_sparse_coding"))
    on_dictionaries(store, read(folder, "published_lca_on_vae_dictionaries"))


def printed(store: Store, rows: list[dict[str, Any]]) -> None:
    """The printed tables and the counts of figure 4, with printed 99 % bars. How fits with K = 50 and 100 were trained is not published."""
    for table in sorted({row["table"] for row in rows}):
        summaries = []
        for row in (row for row in rows if row["table"] == table):
            metric, index_name, index = RENAMED.get(row["metric"], (row["metric"], None, None))
            where = {"metric": metric, "index_name": index_name, "index": index, "value": float(row["value"]), "interval": row.get("ci99")}
            source = f"{PAPER}: {table[:-1].capitalize()} {table[-1]}"
            summaries.append({**settings(row, known=row["latent_dim"] not in (50, 100)), **where, "source": source})
        write_summaries(store, table, summaries)


def fits(store: Store, rows: list[dict[str, Any]], lifetimes: list[dict[str, Any]]) -> None:
    """The authors' fits, each once: some are in several of their frames, and those of Fig. 5a have a lifetime sparsity in one of its own."""
    found: dict[str, dict[str, Any]] = {}
    sources: dict[str, set[str]] = {}
    for row in rows:
        key = key_of(**{name: row.get(name) for name in IDENTITY})
        if any(found.get(key, row).get(name) != row.get(name) for name in MEASURED):
            raise ValueError(f"two rows of one fit differ: {row} and {found[key]}")
        found[key] = row
        sources.setdefault(key, set()).add(row["source"])
    fixed = {"estimator": "mc", "encoder": "linear", "decoder": "linear", "latent_dim": 512, "epochs": 3000}
    for row in lifetimes:
        key = key_of(**{name: {**row, **fixed}.get(name) for name in IDENTITY})
        if abs(found[key]["sse_at_location"] - row["sse_at_location"]) > 1e-5:
            raise ValueError(f"the lifetime sparsity is of another fit: {row} and {found[key]}")
        found[key] = {**found[key], "lifetime_sparsity": row["lifetime_sparsity"]}
    runs = []
    for key, row in found.items():
        run = {**settings(row), "run_id": key, "seed": row["seed"], "cost": "nelbo", "cost_constant": constant(row["dataset"])}
        run |= {"source": where(sources[key]), **({} if "nelbo" in row else NOT_FINITE)}
        runs.append((run, {name: float(row[name]) for name in MEASURED if name in row}))
    write_runs(store, "seeds", runs)


def where(sources: set[str]) -> str:
    """The tables and figures that a fit serves, without commas, which flags split at."""
    kinds = {"tables 2, 3, 5; figures 5, 7": "tables 2 3 5 and figures 5 7", "figures 5, 8": "figures 5 8"}
    names = sorted(kinds[source] for source in sources)
    return f"{PAPER}: frames of " + ("tables 2 3 5 and figures 5 7 8" if len(names) == 2 else names[0])


def sparse_coders(store: Store, rows: list[dict[str, Any]]) -> None:
    """The authors' LCA and ISTA fits.

    Their frame names the start of a schedule of lambda and not the rest. The fits of a schedule are together there, so those that start alike
    are numbered in its order. A code is a point, so the squared errors at its mean and at its location are one number.
    """
    runs, seen = [], Counter[tuple[Any, ...]]()
    for row in rows:
        cell = tuple(row[name] for name in ("family", "learning_rate", "iterations", "l1_weight_start", "seed"))
        seen[cell] += 1
        schedule = f"{row['l1_weight_start']:g}:?:? ({seen[cell]})"
        solver = {"backend": "lcapt", "tau": 100.0} if row["family"] == "lca" else {"accelerated": False}
        options = text(iterations=row["iterations"], l1_weight=schedule, l1_every=5.0, non_negative=True, tolerance=0.0, **solver)
        model = {"dataset": row["dataset"], "dataset_options": "{}", "family": row["family"], "family_options": options, "latent_dim": 512}
        parts = {"likelihood": "gaussian", "likelihood_options": "{}", "decoder": "linear", "decoder_options": text(bias=False)}
        none = {"estimator_options": "{}", "encoder_options": "{}", "protocol": "paper", "dtype": "float16", "device": "cuda", "limit_data": 1.0}
        training = text(epochs=100.0, batch_size=1000, learning_rate=row["learning_rate"])
        run = {**model, **parts, **none, "training": training, "seed": row["seed"], "cost": "sparse_coding_cost"}
        identity = {"run_id": key_of(sparse_coder=[str(part) for part in cell], number=seen[cell])}
        source = {"source": f"{PAPER}: sweep of sparse coders"}
        sse = {name: float(row["sse_at_location"]) for name in ("sse_at_mean", "sse_at_location")}
        sparsity = {name: float(row[name]) for name in ("lifetime_sparsity", "population_sparsity")}
        runs.append(({**run, **identity, **source}, {**sse, **sparsity, "authors_grade": float(GRADES.index(row["authors_grade"]))}))
    write_runs(store, "sparse_coding", runs)


def on_dictionaries(store: Store, rows: list[dict[str, Any]]) -> None:
    """Figure 5b: LCA inference on the dictionaries that VAEs learnt. Their encoder is not stated."""
    summaries = []
    for row in rows:
        model = {**settings({**row, "estimator": "mc", "encoder": None, "decoder": "linear", "latent_dim": 512}), "encoder_options": "{}"}
        for metric, name in (("sse_at_location", "lca_sse"), ("lifetime_sparsity", "lca_lifetime_sparsity")):
            value = {"metric": name, "index_name": "l1_weight", "index": row["l1_weight"], "value": float(row[metric])}
            summaries.append({**model, **value, "source": f"{PAPER}: Figure 5b"})
    write_summaries(store, "figure5b", summaries)

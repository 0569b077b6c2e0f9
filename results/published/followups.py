"""The numbers of the follow-ups: iterative VAEs, relaxations and count models, metabolic cost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from store import key_of, read, settings, text, write_runs, write_summaries

from latentbench.results.store import Store

ITERATIVE = "Brain-like variational inference (arXiv 2410.19315)"
RELAXATIONS = "Poisson gradient estimation (arXiv 2602.03896)"
METABOLIC = "Metabolic cost (arXiv 2602.13421)"
PATCHES = {"epochs": 300.0, "batch_size": 200, "learning_rate": 0.005, "grad_clip": 300.0}
DIGITS = {"epochs": 400.0, "batch_size": 100, "learning_rate": 0.002, "grad_clip": 3000.0}
COMMON = {"optimizer": "adamax", "schedule": "cosine", "warmup": 0.005, "weight_decay": 3e-4, "beta_hold": 0.001, "beta_anneal": 0.1}
RELAXED = {"temperature_start": 1.0, "temperature_stop": 0.01}
PLAIN = {"limit_data": 1.0, "dtype": "float32", "device": "cuda", "estimator_options": "{}", "encoder_options": "{}", "decoder_options": "{}"}
METHODS = {"GS": "gumbel_softmax", "GS2": "gumbel_softmax of gamma rates", "EAT_sigmoid": "sigmoid", "EAT_cubic": "cubic", "GSM": "gumbel_softmax"}


def write_followups(store: Store, folder: Path) -> None:
    """All of them."""
    rate_distortion(store, read(folder, "iterative_rate_distortion"))
    convergence(store, read(folder, "iterative_convergence"))
    digits(store, read(folder, "iterative_mnist_seeds"))
    metabolic_cost(store, read(folder, "metabolic_cost_fits"))
    relaxation_moments(store, read(folder, "relaxation_moments"))
    count_models(store, read(folder, "count_models_digitised"))


def model(name: str, steps: float | None, beta: float | None, dataset: str) -> dict[str, Any]:
    """The settings of a model of the iterative VAEs' frames: an iterative one by its steps in training, or one that it was compared with."""
    amortised, coder = name.endswith("+amort"), name in ("lca", "pc", "ipc")
    family = name.removesuffix("+amort") if amortised or coder else f"iterative_{name}"
    iterative = not (amortised or coder)
    own = {"kl": "published"} if name == "poisson" else {"gain": dataset != "mnist"} if name == "gaussian+relu" else {}
    options = text(steps=int(steps or 0), evaluation_steps=1000, **own) if iterative else text(l1_weight=beta) if coder else "{}"
    trained = {**(DIGITS if dataset == "mnist" else PATCHES), **COMMON, **(RELAXED if name == "poisson" else {})} if iterative else {}
    of_data = text() if dataset == "mnist" else text(preparation="iterative")  # z-scored as a whole, ten blocks
    likelihood = {"likelihood": "gaussian", "likelihood_options": text(variance="pixel") if trained else "{}"}
    return {
        **PLAIN, **likelihood, "family": family, "family_options": options, "dataset": dataset, "dataset_options": of_data,
        "estimator": "mc" if amortised else None, "decoder": "linear" if trained or name == "lca" else None, "latent_dim": 512,
        "beta": None if coder else beta, "training": text(**trained), "cost": "free_energy" if trained else None,
    }  # fmt: skip


def again(number: int) -> str:
    """What tells fits apart whose settings were trained twice, with unknown or equal seeds."""
    return "" if number == 1 else f" ({number})"


def rate_distortion(store: Store, rows: list[dict[str, Any]]) -> None:
    """One fit of each setting, of an unknown seed, after 1,000 steps of inference."""
    runs, seen = [], Counter[str]()
    for row in rows:
        name, beta = row["str_model"], row["kl_beta"]
        identity = text(model=name, steps=row["seq_len"], beta=beta)
        seen[identity] += 1
        own = {"r2_per_image": "r2", "r2_per_image_of_mean": "r2_map", "distance_to_corner": "distance", "distance_to_corner_of_mean": "distance_map"}
        values = {"zero_fraction": float(row["%-zeros"]), **{metric: float(row[column]) for metric, column in own.items()}}
        source = f"{ITERATIVE}: frame of rate and distortion{again(seen[identity])}"
        key = {"run_id": key_of(iterative=identity, number=seen[identity]), "source": source}
        run = model(name, row["seq_len"], beta, "van_hateren")
        if name == "lca" and seen[identity] > 1:
            run["family_options"] = text(l1_weight=f"{beta}{again(seen[identity])}")
        runs.append(({**run, **key}, values))
    write_runs(store, "iterative_rate_distortion", runs)


def convergence(store: Store, rows: list[dict[str, Any]]) -> None:
    """Curves over the steps of inference of three models. Their ends are near the values of the other frame, and are not the same."""
    names = {"r2_per_image_at": "r2", "zero_fraction_at": "%-zeros", "update_norm_at": "du_norm"}
    runs = []
    for name in sorted({row["str_model"] for row in rows}):
        own = [row for row in rows if row["str_model"] == name]
        steps, beta = own[0]["t_train"], own[0]["beta_outer"]
        curves = {metric: [("t", float(row["time"]), float(row[column])) for row in own] for metric, column in names.items()}
        key = {"run_id": key_of(iterative_convergence=[name, steps, beta]), "source": f"{ITERATIVE}: frame of convergence"}
        runs.append(({**model(name, steps, beta, "van_hateren"), **key}, curves))
    write_runs(store, "iterative_convergence", runs)


def digits(store: Store, rows: list[dict[str, Any]]) -> None:
    """MNIST by seed. One row of the rectified Gaussian is there twice, so it has four seeds."""
    runs: dict[str, tuple[dict[str, Any], dict[str, float]]] = {}
    for row in rows:
        name, sizes = row["str_model"], {"latent_dim": row["n_latents"], "parameters": row["n_params"], "seed": row["seed"]}
        networks = {"encoder": "conv", "decoder": "conv"} if row.get("archi") == "<conv+b|conv+b>" else {}
        accuracy = {"linear_probe_accuracy": row["accu"] / 100}
        values = {"r2_per_image": row["r2"], "sse": row["mse"], "zero_fraction": float(row["%-zeros"]), **accuracy}
        key = key_of(iterative_mnist=[name, row["seed"]])
        run = {
            **model(name, row.get("seq_len"), row.get("kl_beta"), "mnist"),
            **sizes,
            **networks,
            "run_id": key,
            "source": f"{ITERATIVE}: frame of MNIST",
        }
        if runs.get(key, (run, values)) != (run, values):
            raise ValueError(f"two rows of one fit differ: {row}")
        runs[key] = run, values
    write_runs(store, "iterative_mnist", list(runs.values()))


def metabolic_cost(store: Store, rows: list[dict[str, Any]]) -> None:
    """Settings and minutes of fits; nothing that was measured of them is published."""
    runs, seen = [], Counter[str]()
    for row in rows:
        encoder, decoder = ("conv" if part.startswith("conv") else part.replace("lin", "linear") for part in row["archi"].split("|"))
        named = {"family": row["model"], "estimator": "mc", "dataset": "van_hateren", "encoder": encoder, "decoder": decoder}
        run = settings({**named, "latent_dim": row["K"], "beta": row["beta"], "epochs": row["epochs"]})
        identity = text(**{name: row[name] for name in ("model", "archi", "beta", "K", "tag")})
        seen[identity] += 1
        run |= {"run_id": key_of(metabolic_cost=identity, number=seen[identity]), "protocol": None, "seed": row["seed"], "cost": "nelbo"}
        source = f"{METABOLIC}: log {row['tag']} without any metric{again(seen[identity])}"
        runs.append(({**run, "train_seconds": 60.0 * row["minutes"], "source": source}, {}))
    write_runs(store, "metabolic_cost", runs)


def relaxation_moments(store: Store, rows: list[dict[str, Any]]) -> None:
    """Moments of relaxed counts, computed from formulas and by simulation: these are not published."""
    whole = {"mean_ratio": "mean_ratio_untruncated", "variance_ratio": "var_ratio_untruncated"}
    cut = {"mean_ratio": "mean_ratio_truncated", "variance_ratio": "var_ratio_truncated_mc", "wasserstein": "w1_over_sqrt_rate_mc"}
    summaries = []
    for row in rows:
        relaxation = METHODS.get(row["method"], row["method"].removeprefix("EAT_"))
        for truncate, names in ((False, whole), (True, cut)):
            options = text(relaxation=relaxation, temperature=row["tau"], truncate=truncate, tail=1e-3 if truncate else None)
            for metric, column in names.items():
                if column in row:
                    value = {"metric": metric, "index_name": "rate", "index": float(row["rate"]), "value": float(row[column])}
                    source = "computed from the definitions of relaxations and simulated where they are cut off"
                    summaries.append({"family": "poisson", "family_options": options, "split": "prior", **value, "source": source})
    write_summaries(store, "relaxation_moments", summaries)


def count_models(store: Store, rows: list[dict[str, Any]]) -> None:
    """Means over five seeds, read off box plots to a pixel. The index x is what a panel's axis has: temperature, samples, or largest count."""
    likelihoods = {"COM-Poisson": "com_poisson", "negative_binomial": "negative_binomial", "POGLM": "poisson"}
    summaries = []
    for row in rows:
        score = row["method"] == "score"
        family = "negative_binomial" if row["experiment"] == "negative_binomial" else "poisson"
        part = {
            "family": family,
            "family_options": text(relaxation=None if score else METHODS[row["method"]]),
            "estimator": "score" if score else "mc",
        }
        data = {"dataset": "count_models", "dataset_options": text(experiment=row["experiment"], panel=row["slice"].replace(",", " and"))}
        value = {"metric": f"count_{row['metric']}", "index_name": "x", "index": float(row["x_value"]), "value": float(row["mean"]), "split": "test"}
        source = f"{RELAXATIONS}: figure read to {row['value_per_pixel']:g} a pixel"
        summaries.append({**PLAIN, **part, **data, "likelihood": likelihoods[row["experiment"]], **value, "source": source})
    write_summaries(store, "count_models", summaries)

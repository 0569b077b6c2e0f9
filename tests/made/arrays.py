"""Arrays and pictures of runs that were not trained, in the formats of the evaluations that store them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from latentbench_evaluations.pictures import grid
from torch import Tensor

from latentbench.results.store import Store
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.plan import Planned

PER_IMAGE = 200
"""Images whose costs are stored; truly that is all of them."""
DRAWS = 100
"""Draws of labelled images."""
ITERATIONS = 900
"""Sparse coders with as many have a dictionary; the others would take some hundred megabytes."""


def write_arrays(store: Store, items: Sequence[Planned], seed: int) -> None:
    """Write what the evaluations of these runs store beside rows."""
    for item in items:
        for evaluation in item.evaluations:
            rng = np.random.default_rng([seed, int(item.run.id, 16)])
            arrays, pictures = _made(item, evaluation, rng)
            if arrays:
                store.write_arrays(item.run.id, evaluation.id, arrays)
            for name, picture in pictures.items():
                store.write_picture(item.run.id, f"{evaluation.id}-{name}", picture)


def write_draws(store: Store, seed: int) -> None:
    """Write the accuracies of knn's draws, which all models share, around the means that are stored: what is read off them needs every seed's."""
    metrics = store.read("metrics", ["run_id", "evaluation_id", "metric", "index", "value"])
    noise = np.random.default_rng([seed, 3]).normal(0, 0.01, size=(1, DRAWS))
    for (run_id, evaluation_id), rows in metrics[metrics["metric"] == "knn_accuracy"].sort_values("index").groupby(["run_id", "evaluation_id"]):
        accuracies = rows["value"].to_numpy()[:, None] + noise - noise.mean()
        store.write_arrays(
            run_id, evaluation_id, {"sizes": torch.from_numpy(rows["index"].to_numpy(int)), "accuracies": torch.from_numpy(accuracies)}
        )


def _made(item: Planned, evaluation: EvaluationPlan, rng: np.random.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Arrays and pictures, by name."""
    run, shape = item.run, tuple(item.assembly.data_shape)
    few = run.family_options.get("iterations", ITERATIONS) != ITERATIONS
    if evaluation.name == "elbo":
        names = [*item.assembly.family.measures, "sse_at_mean", "sse_at_location"]
        return {f"per_image/{evaluation.options.get('split', 'validation')}/{name}": _tensor(rng.gamma(20, 5, PER_IMAGE)) for name in names}, {}
    if evaluation.name == "samples":
        images = gabors(rng, evaluation.options["n"], shape)
        return {"images": images}, {"samples": grid(images, 1.0 if run.dataset == "mnist" else None)}
    if evaluation.name == "reconstructions":
        images = gabors(rng, evaluation.options["n"], shape)
        decoded = {f"decoded_{of}": images + _tensor(rng.normal(0, noise, images.shape)) for of, noise in (("sample", 0.1), ("mean", 0.05))}
        pairs = torch.stack([images, decoded["decoded_sample"]], dim=1).flatten(0, 1)
        return {"images": images, **decoded}, {"reconstructions": grid(pairs, columns=16)}
    if evaluation.name == "dictionary" and not few:
        elements = gabors(rng, run.latent_dim, shape)
        order = torch.from_numpy(rng.permutation(run.latent_dim))
        return {"elements": elements.squeeze(1), "order": order}, {"dictionary": grid(elements)}
    if evaluation.name == "gabor_fit" and not few:
        return {"parameters": torch.from_numpy(np.stack(list(_fits(rng, run.latent_dim, shape[-1])), axis=1))}, {}
    return (_histograms(rng, evaluation.options["temperatures"]), {}) if evaluation.name == "relaxed_poisson" else ({}, {})


def gabors(rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> Tensor:
    """Random Gabor functions [n, C, H, W]."""
    height, width = shape[-2:]
    x0, y0, theta, sx, sy, f, cosine, sine, _ = (column[:, None, None] for column in _fits(rng, n, width))
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    u, v = (x - x0) * np.cos(theta) + (y - y0) * np.sin(theta), (y - y0) * np.cos(theta) - (x - x0) * np.sin(theta)
    wave = cosine * np.cos(2 * np.pi * f * u) + sine * np.sin(2 * np.pi * f * u)
    return _tensor(np.exp(-(u**2) / (2 * sx**2) - v**2 / (2 * sy**2)) * wave)[:, None].expand(n, *shape).contiguous()


def _fits(rng: np.random.Generator, n: int, size: int) -> Iterator[np.ndarray]:
    """The nine parameters of Gabor fits, in the order of `latentbench_evaluations.gabor.GaborFit`."""
    yield from (rng.uniform(0.2 * size, 0.8 * size, n), rng.uniform(0.2 * size, 0.8 * size, n), rng.uniform(0, np.pi, n))
    yield from (rng.uniform(1.5, 3, n), rng.uniform(1.5, 4, n), rng.uniform(0.08, 0.3, n))
    yield from (rng.normal(size=n), rng.normal(size=n), rng.beta(6, 2, n))


def _histograms(rng: np.random.Generator, temperatures: Sequence[float]) -> dict[str, Tensor]:
    """Relaxed counts at rate 1, as a mixture of normal distributions about whole numbers that narrow with the temperature."""
    edges = np.arange(-0.025, 8.05, 0.05)
    counts = rng.poisson(1.0, size=(len(temperatures), 20_000)).astype(float)
    spread = np.array(temperatures)[:, None] * rng.normal(0, 0.5, counts.shape)
    found = [np.histogram(np.abs(row), edges)[0] * (100 / len(row)) for row in counts + spread]
    return {"histograms": torch.from_numpy(np.array(found)), "edges": torch.from_numpy(edges), "temperatures": torch.tensor(temperatures).double()}


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values).float()

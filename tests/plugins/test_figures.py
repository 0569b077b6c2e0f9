"""Every figure is drawn from a made folder, and what it draws is compared with numbers computed here from what was stored."""

import json
import re
import time
import types

import numpy as np
import pandas as pd
import pytest
import torch
from latentbench_evaluations.dead_units import FIGURE_KL, FIGURE_NORM
from latentbench_figures.dead import DeadOptions
from latentbench_figures.dictionaries import pairs
from latentbench_figures.fits import Sigmoid, fit_sigmoid
from latentbench_figures.tiles import tiled
from scipy import stats

from latentbench import hookimpl
from latentbench.errors import UserError
from latentbench.loading import Loaded, fill
from latentbench.reporting import Canvas, Figure
from latentbench.reporting.asked import asked
from latentbench.reporting.drawing import drawing_style, to_bytes
from latentbench.reporting.extensions import GROUP, KINDS, load_reporting
from latentbench.reporting.figures import draw, figure_named
from tests.made import make
from tests.made_rows import Rows

SEEDS = (1, 2, 3)
FIGURES = sorted(load_reporting().parts["figures"])
LOWER = {"nelbo": {"better": "lower", "unit": "nats", "meaning": "Cost.", "index": None}}
CURVE = Sigmoid(0.3, 1.0, 90.0, 25.0)
"""Lifetime sparsity over squared error, of the runs of figure 5a."""


def drawn(name, canvas, **options):
    with drawing_style():
        return draw(figure_named(name, options), canvas)


def bars(panel):
    """[x, y] of the means of every errorbar of a panel."""
    return [np.asarray(container.lines[0].get_xydata()) for container in panel.containers]


def half_widths(panel):
    """Half the widths of the vertical bars of every errorbar of a panel."""
    lines = [container.lines[2][-1].get_segments() for container in panel.containers if container.has_yerr]
    return [[(segment[1, 1] - segment[0, 1]) / 2 for segment in of] for of in lines]


def t_interval(values):
    return stats.t.ppf(0.995, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))


def elbo_of(value):
    return {"elbo": {"nelbo": value, "kl": value / 4, "reconstruction": value * 3 / 4}}


# What each figure needs: a function that stores it, with runs of the first seed failing where `broken`.


def relaxed(rows, broken=False):
    edges = torch.arange(-0.025, 4, 0.05, dtype=torch.float64)
    histograms = torch.rand((2, len(edges) - 1), generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.1
    arrays = {"edges": edges, "histograms": histograms, "temperatures": torch.tensor([1.0, 0.0], dtype=torch.float64)}
    for seed in SEEDS[broken:]:
        metrics = {"relaxed_poisson": {"relaxed_mean": {1.0: 1.1, 0.0: 1.0}}}
        rows.run(seed=seed, arrays={"relaxed_poisson": arrays}, options={"rate": 1.0}, metrics=metrics)
    return arrays


def dictionaries(rows, broken=False):
    elements = {}
    for number, family in enumerate(("poisson", "gaussian")[broken:]):
        elements[family] = torch.randn((64, 4, 4), generator=torch.Generator().manual_seed(number))
        metrics = {"active_units": {"dead_units": 5.0 + number}, "dictionary": {"dictionary_norm": 1.0}}
        rows.run(family=family, arrays={"dictionary": {"elements": elements[family]}}, metrics=metrics, options={"rule": "figure4"})
    for iterations, (sse, sparsity) in {100: (50.0, 0.95), 500: (40.0, 0.95), 900: (10.0, 0.5)}.items():
        options, arrays = {"iterations": iterations}, {"dictionary": {"elements": torch.full((64, 4, 4), float(iterations))}}
        measured = {"elbo": {"sse_at_mean": sse}, "sparsity": {"lifetime_sparsity": sparsity}, "dictionary": {"dictionary_norm": 1.0}}
        rows.run(family="lca", estimator=None, encoder=None, family_options=options, metrics=measured, arrays=arrays)
    return elements


def sparsities(rows, broken=False):
    points = {}
    for encoder, shift in (("linear", 0.0), ("conv", 4.0)):
        for beta, error in ((0.01, 10.0), (0.2, 40.0), (0.4, 70.0), (0.6, 95.0), (1.0, 120.0), (4.0, 170.0)):
            for seed in SEEDS:
                sse = error + shift
                measured = {"elbo": {"sse_at_location": sse}, "sparsity": {"lifetime_sparsity": float(CURVE(np.array(sse)))}}
                failed = broken and (seed, beta) == (1, 1.0)
                rows.run(encoder=encoder, beta=beta, seed=seed, **({"status": "failed"} if failed else {"metrics": measured}))
            points[encoder, beta] = error + shift
    for seed in SEEDS:
        rows.run(family="gaussian", seed=seed, metrics={"elbo": {"sse_at_location": 70.0}, "sparsity": {"lifetime_sparsity": 0.37}})
    return points


def swaps(rows, broken=False):
    curve = {0.01: 20.0, 0.1: 40.0, 0.3: 60.0, 0.5: 90.0, 1.0: 140.0}
    for seed in SEEDS:
        measured = {
            "lca_sse": curve,
            "lca_lifetime_sparsity": {weight: float(CURVE(np.array(sse))) for weight, sse in curve.items()},
            "encoder_sse": 110.0,
            "encoder_lifetime_sparsity": 0.8,
        }
        failed = broken and seed == 1
        rows.run(seed=seed, **({"status": "failed"} if failed else {"metrics": {"inference_swap": measured}}))
    for iterations, sse in {100: 60.0, 900: 50.0}.items():
        measured = {"elbo": {"sse_at_mean": sse}, "sparsity": {"lifetime_sparsity": 0.9 + iterations / 1e5}}
        rows.run(family="lca", estimator=None, encoder=None, family_options={"iterations": iterations}, metrics=measured)
    return curve


def estimators(rows, broken=False):
    values = {}
    for dataset in ("van_hateren", "mnist"):
        for family, methods in {"poisson": ("exact", "mc", "straight_through"), "gaussian": ("exact", "mc")}.items():
            for place, method in enumerate(methods):
                for seed in SEEDS:
                    value = 100.0 + 10 * place + seed + 7 * (family == "gaussian")
                    failed = broken and (seed, method, dataset) == (1, "mc", "mnist")
                    ran = {"status": "failed"} if failed else {"metrics": elbo_of(value), "declared": LOWER}
                    rows.run(dataset=dataset, family=family, estimator=method, seed=seed, **ran)
                    values[dataset, family, method, seed] = value
    return values


def dimensions(rows, broken=False):
    values = {}
    for dataset in ("van_hateren", "cifar16"):
        for encoder in ("linear", "conv"):
            for size in (256, 512, 1024):
                for seed in SEEDS:
                    value = 160.0 + size / 100 + seed**2 + 3 * (encoder == "conv")
                    failed = broken and (seed, size) == (1, 256)
                    rows.run(
                        dataset=dataset,
                        encoder=encoder,
                        latent_dim=size,
                        seed=seed,
                        **({"status": "failed"} if failed else {"metrics": elbo_of(value)}),
                    )
                    values.setdefault((dataset, encoder, size), []).append(value)
    return values


def temperatures(rows, broken=False):
    values = {}
    for estimator in ("mc", "hard_forward"):
        for shape, stop in (("linear", 0.05), ("linear", 0.5), ("linear", 1.0), ("exponential", 0.05), ("exponential", 0.5)):
            for seed in SEEDS:
                value = 150.0 + 10 * stop + seed + 5 * (estimator == "hard_forward") + (shape == "linear")
                training = {"temperature_start": 1.0, "temperature_stop": stop, "temperature_anneal": shape}
                failed = broken and (seed, stop, shape) == (1, 0.5, "linear")
                history = {"temperature": {0: 1.0, 50: stop, 100: stop}}
                rows.run(
                    estimator=estimator,
                    seed=seed,
                    training=training,
                    **({"status": "failed"} if failed else {"metrics": elbo_of(value), "history": history}),
                )
                values.setdefault((estimator, shape, stop), []).append(value)
    return values


def units(rows, broken=False):
    numbers = {
        "poisson": np.concatenate([np.full(5, 0.001), np.linspace(0.02, 0.09, 27)]),
        "gaussian": np.concatenate([np.full(20, 0.01), np.linspace(0.2, 0.7, 12)]),
    }
    norms = np.concatenate([np.full(4, 4.2), np.linspace(5, 7, 28)])
    for family in list(numbers)[broken:]:
        rows.run(family=family, units={"elbo": {"kl": numbers[family].tolist()}}, metrics=elbo_of(1.0))
    measured = {"elbo": {"kl": [3.0]}, "dictionary": {"dictionary_norm": norms.tolist()}}
    rows.run(family="categorical", units=measured, metrics=elbo_of(1.0))
    return {**numbers, "categorical": norms}


def probes(rows, broken=False):
    values = {}
    for number, family in enumerate(("poisson", "gaussian", "laplace")):
        for size in (10, 50, 100):
            for seed in SEEDS:
                accuracy = 0.8 + 0.03 * number + size / 1000 + seed / 500
                run = {"family": family, "latent_dim": size, "seed": seed, "dataset": "mnist", "encoder": "conv", "decoder": "conv"}
                failed = broken and (seed, size) == (1, 10)
                rows.run(**run, **({"status": "failed"} if failed else {"metrics": {"linear_probe": {"linear_probe_accuracy": accuracy}}}))
                values.setdefault((family, size), []).append(accuracy)
    return values


def pictures(rows, broken=False):
    arrays = {}
    for number, family in enumerate(("poisson", "gaussian")):
        generator = torch.Generator().manual_seed(number)
        images, decoded, sampled = (torch.rand((16, 1, 5, 5), generator=generator) for _ in range(3))
        arrays[family] = {"samples": {"images": sampled}, "reconstructions": {"images": images, "decoded_sample": decoded, "decoded_mean": decoded}}
        run = {"family": family, "dataset": "mnist", "encoder": "conv", "decoder": "conv", "latent_dim": 10}
        stored = {name: of for name, of in arrays[family].items() if not (broken and name == "samples" and family == "poisson")}
        rows.run(**run, arrays=stored, metrics={"reconstructions": {"reconstructions_sse": 1.0}, "samples": {"prior_energy": 1.0}})
    return arrays


def curves(rows, broken=False):
    values = {}
    for family in ("poisson", "gaussian"):
        for seed in SEEDS:
            history = {name: {step: 100.0 / step + seed + 10 * (name == "kl") for step in (10, 20, 30)} for name in ("reconstruction", "kl")}
            failed = broken and (seed, family) == (1, "poisson")
            rows.run(family=family, seed=seed, history=history, metrics=elbo_of(1.0), **({"status": "failed"} if failed else {}))
            for name, curve in history.items():
                values.setdefault((family, name), []).append(list(curve.values()))
    return values


def weights(rows, broken=False):
    for seed in SEEDS:
        for beta in (0.5, 1.0):
            failed = broken and (seed, beta) == (1, 1.0)
            rows.run(beta=beta, seed=seed, **({"status": "failed"} if failed else {"metrics": elbo_of(100.0 * beta + seed)}))


def known(rows, broken=False):
    values = {}
    for dataset, options in (("bars", {"intensity": 4}), ("sparse_synthetic", {"causes": "poisson"}), ("sparse_synthetic", {"causes": "laplace"})):
        for family, recovered in (("poisson", 0.8), ("gaussian", 0.4), ("lca", 0.9)):
            for seed in SEEDS:
                value = recovered + seed / 100
                measured = {"recovery": {"dictionary_correlation": value, "dictionary_correlation_control": 0.2 + recovered / 10}}
                costs = {} if family == "lca" else elbo_of(100.0 * recovered + seed)
                failed = broken and (seed, family) == (1, "gaussian")
                ran = {"status": "failed"} if failed else {"metrics": {**measured, **costs}}
                rows.run(dataset=dataset, dataset_options=options, family=family, seed=seed, **ran)
                values.setdefault((dataset, options.get("causes", ""), family), []).append(value)
    return values


def activities(rows, broken=False):
    values = {}
    for family in ("poisson", "gaussian+relu"):
        for size in (32, 512):
            for beta in (8.0, 0.1, 1.0):
                for seed in SEEDS:
                    activity = seed + size / beta
                    measured = {"posterior_mean": {"posterior_mean": activity}, "sparsity": {"lifetime_sparsity": 1 / activity}}
                    failed = broken and (seed, beta) == (1, 1.0)
                    ran = {"status": "failed"} if failed else {"metrics": measured}
                    rows.run(family=family, latent_dim=size, beta=beta, seed=seed, **ran)
                    values.setdefault((family, size, beta), []).append(activity)
    return values


def cards(rows, broken=False):
    generator = np.random.default_rng(5)
    names = ("preferred_orientation", "preferred_frequency", "orientation_half_width", "frequency_width", "modulation_ratio", "circular_variance")
    numbers = {name: generator.uniform(0, 1, 40) for name in (*names, "response", "field_n_x", "field_n_y")}
    numbers["modulation_ratio"][:5] = np.nan
    fields = torch.rand((40, 5, 5), generator=torch.Generator().manual_seed(1))
    for seed in SEEDS:
        failed = broken and seed == 1
        measured = {
            "arrays": {"tuning": {"receptive_fields": fields}},
            "units": {"tuning": numbers},
            "metrics": {"tuning": {"modulation_ratio": 1.0}},
        }
        rows.run(seed=seed, **({"status": "failed"} if failed else measured))
    return numbers


MEASURED = {
    "gradient_quality-1": {"estimator": "mc", "temperature": 0.1},
    "gradient_quality-2": {"estimator": "mc", "temperature": 0.5, "family_options": {"truncate": False}},
    "gradient_quality-3": {"estimator": "rloo", "temperature": 0.05, "estimator_options": {"samples": 8}},
}


def gradients(rows, broken=False):
    values = {}
    for seed in SEEDS:
        failed = {"status": "failed"} if broken and seed == 1 else {}
        run_id = rows.run(dataset="digits", seed=seed, **failed)
        for place, (evaluation_id, options) in enumerate(MEASURED.items()):
            key = {"run_id": run_id, "evaluation": "gradient_quality", "evaluation_id": evaluation_id}
            found = {
                (metric, step): size * (1 + place + 0.1 * seed + step / 1000)
                for metric, size in (("gradient_bias", -0.01), ("gradient_variance", 1.0), ("gradient_cosine", 0.1))
                for step in (0, 100, 1000)
            }
            rows.add("evaluations", [] if failed else [{**key, "options": json.dumps(options), "metrics": "{}"}])
            for (metric, step), value in found.items():
                row = {**key, "split": "validation", "metric": metric, "index_name": "step", "index": step, "value": value}
                rows.add("metrics", [] if failed else [row])
                values.setdefault((metric, step), {}).setdefault(place, []).append(value)
    return values


def inferences(rows, broken=False):
    values = {}
    for family, steps in (("iterative_poisson", 16), ("iterative_gaussian", 8)):
        for seed in SEEDS:
            curve = {t: 1 - 1 / (steps * t) + seed / 1000 for t in (1.0, 2.0, 10.0, 100.0)}
            names = {"r2_per_image_at": 1.0, "zero_fraction_at": 0.5, "update_norm_at": 3.0}
            measured = {"inference_dynamics": {name: {t: scale * value for t, value in curve.items()} for name, scale in names.items()}}
            failed = broken and (seed, family) == (1, "iterative_poisson")
            ran = {"status": "failed"} if failed else {"metrics": measured}
            rows.run(family=family, family_options={"steps": steps}, seed=seed, **ran)
            for t, value in curve.items():
                values.setdefault((family, t), []).append(value)
    return values


MADE = {
    "fig3": relaxed, "fig4": dictionaries, "fig5a": sparsities, "fig5b": swaps, "fig7": estimators, "fig8": dimensions, "fig9": temperatures,
    "fig10": units, "fig11": probes, "fig12": pictures, "training": curves, "rate_distortion": weights, "forest": estimators,
    "recovery": known, "metabolic_cost": activities, "v1_card": cards,
    "gradients": gradients, "inference_dynamics": inferences,
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder that has all that a figure needs, and what was stored there."""
    found = {}

    def make(name, broken=False):
        if (name, broken) not in found:
            rows = Rows(tmp_path_factory.mktemp(name))
            stored = MADE[name](rows, broken)
            found[name, broken] = rows.path, stored
        return found[name, broken]

    return make


def test_every_figure_has_a_made_folder_here():
    assert {name for name in FIGURES if load_reporting().providers[load_reporting().parts["figures"][name]] == "latentbench_figures"} == set(MADE)


@pytest.mark.parametrize("name", MADE)
def test_what_is_missing_is_said_and_the_rest_is_drawn(made, name):
    path, _ = made(name, broken=True)
    canvas = Canvas([path])
    assert drawn(name, canvas).axes
    if name != "fig3":  # of which any run will do
        assert canvas.missing


def test_gradient_estimators_are_told_apart_by_what_differs_and_drawn_at_their_first_and_last_step(made):
    path, values = made("gradients")
    drawing = drawn("gradients", Canvas([path]))
    panels = dict(zip(("gradient_bias", "gradient_variance", "gradient_cosine"), drawing.axes, strict=True))
    assert [text.get_text() for text in drawing.axes[0].get_yticklabels()] == ["mc T=0.1", "mc truncate=False T=0.5", "rloo samples=8"]
    for metric, panel in panels.items():
        x = [float(points[0, 0]) for points in bars(panel)]
        assert x == pytest.approx([np.mean(values[metric, step][place]) for place in range(3) for step in (0, 1000)])
    width = panels["gradient_variance"].containers[0].lines[2][-1].get_segments()[0]
    assert (width[1, 0] - width[0, 0]) / 2 == pytest.approx(t_interval(values["gradient_variance", 0][0]))


@pytest.mark.parametrize("name", MADE)
def test_nothing_is_missing_where_all_is_there(made, name):
    path, _ = made(name)
    canvas = Canvas([path])
    drawn(name, canvas)
    families = ("gaussian", "laplace", "categorical", "gaussian+relu", "gaussian+exp", "ista")
    assert [line for line in canvas.missing if not line.startswith(families)] == []


@pytest.mark.parametrize("name", MADE)
def test_without_anything_to_draw_it_says_what_is_needed(tmp_path, name):
    rows = Rows(tmp_path / "r")
    rows.run(family="other", dataset="digits", metrics={"other": {"other": 1.0}})
    with pytest.raises(UserError) as error:
        drawn(name, Canvas([rows.path]))
    assert f"figure '{name}'" in str(error.value) or "nelbo" in str(error.value)


def test_relaxed_counts_are_those_stored_beside_poisson_probabilities(made):
    path, arrays = made("fig3")
    soft, hard = drawn("fig3", Canvas([path])).axes
    for panel, histogram in zip((soft, hard), arrays["histograms"].numpy(), strict=True):
        (steps,) = panel.patches
        assert np.array_equal(steps.get_data().values, histogram)
        assert np.array_equal(steps.get_data().edges, arrays["edges"].numpy())
    (dots,) = hard.lines
    assert np.allclose(dots.get_ydata(), 100 * stats.poisson.pmf(dots.get_xdata(), 1.0))
    assert not soft.lines


def test_dictionaries_are_shown_in_their_order_with_counts_of_dead_units(made, tmp_path):
    path, elements = made("fig4")
    published = Rows(tmp_path / "published")
    published.summary("dead_units", 401.0, family="gaussian")
    picture = drawn("fig4", Canvas([path], [published.path]))
    titles = [panel.get_title() for panel in picture.axes]
    assert titles[:2] == ["poisson, dead units: 5", "gaussian, dead units: 6 (published: 401)"]
    assert titles[2].startswith("lca")
    shown = np.asarray(picture.axes[0].images[0].get_array())
    element = elements["poisson"][13].numpy()  # the second of the second row of twelve, of tiles of 4 pixels with a line between
    assert np.allclose(shown[5:9, 5:9], 0.5 + 0.5 * element / np.abs(element).max())


def test_of_sparse_coders_the_best_that_is_sparse_is_shown(made):
    path, _ = made("fig4")
    canvas = Canvas([path])
    drawn("fig4", canvas)
    assert "lca: the best of 2 settings whose lifetime sparsity is at least 0.9." in canvas.notes
    loose = Canvas([path])
    drawn("fig4", loose, sparsity=0.4)
    assert "lca: the best of 3 settings whose lifetime sparsity is at least 0.4." in loose.notes
    none = Canvas([path])
    drawn("fig4", none, sparsity=0.99)
    assert any(line.startswith("lca: of 3 settings none") for line in none.missing)


@pytest.mark.parametrize("curve", [Sigmoid(0.3, 1.0, 90.0, 25.0), Sigmoid(200.0, 10.0, 0.6, 0.1), Sigmoid(-5.0, 5.0, 0.0, 3.0)])
def test_sigmoid_fits_recover_known_curves(curve):
    x = np.linspace(curve.centre - 3 * curve.width, curve.centre + 3 * curve.width, 9)
    fit = fit_sigmoid(x, curve(x))
    found, known = (np.array([f.low, f.high, f.centre, f.width]) for f in (fit, curve))
    assert np.allclose(found, known, rtol=1e-4, atol=1e-6)


def test_a_sigmoid_through_noise_is_no_worse_than_the_true_one():
    curve, x = Sigmoid(0.2, 0.9, 50.0, 10.0), np.linspace(10, 100, 12)
    for seed in range(20):
        y = curve(x) + np.random.default_rng(seed).normal(0, 0.02, 12)
        fit = fit_sigmoid(x, y)
        assert np.sum((fit(x) - y) ** 2) <= np.sum((curve(x) - y) ** 2) + 1e-9


def test_there_is_no_sigmoid_through_too_few_points():
    assert fit_sigmoid([1, 2, 3, 4], [1, 2, 3, 4]) is None
    assert fit_sigmoid([1, 1, 1, 1, 2], [1, 2, 3, 4, 5]) is None


def test_error_and_sparsity_are_means_with_a_fitted_curve(made, tmp_path):
    path, points = made("fig5a")
    (panel,) = drawn("fig5a", Canvas([path])).axes
    places = np.concatenate(bars(panel))
    for error in points.values():
        assert np.isclose(places, [float(CURVE(np.array(error))), error]).all(1).any()
    assert np.isclose(places, [0.37, 70.0]).all(1).any()
    fits = [line for line in panel.lines if len(line.get_xdata()) == 200]
    assert len(fits) == 2  # poisson with both encoders; gaussian has one beta
    for fit in fits:
        assert np.allclose(fit.get_xdata(), CURVE(fit.get_ydata()), atol=1e-3)
    arrow = next(text for text in panel.texts if text.arrow_patch is not None)
    assert np.allclose([arrow.xyann, arrow.xy], [[float(CURVE(np.array(e))), e] for e in (points["linear", 1.0], points["conv", 1.0])])


def test_swapped_inference_is_a_curve_beside_the_models_and_the_sparse_coders(made):
    path, curve = made("fig5b")
    (panel,) = drawn("fig5b", Canvas([path])).axes
    places = np.concatenate(bars(panel))
    assert np.allclose(np.sort(places[:, 1]), sorted([*curve.values(), 110.0]))
    assert np.isclose(places, [0.8, 110.0]).all(1).any()
    best = next(line for line in panel.lines if line.get_markersize() == 6 and line.get_color() == "#000000")
    assert np.allclose(best.get_xydata(), [[0.909, 50.0]])


def test_the_best_published_sparse_coders_are_no_worse_than_those_of_the_paper(made, root):
    """Which are LCA at (.917, 50.2) and ISTA at (.961, 86.9)."""
    path, _ = made("fig5b")
    (panel,) = drawn("fig5b", Canvas([path], [root / "results" / "published"])).axes
    best = {line.get_marker(): line.get_xydata()[0] for line in panel.lines if line.get_markersize() == 6 and line.get_alpha()}
    metrics, runs = (pd.read_parquet(root / "results" / "published" / table) for table in ("metrics", "runs"))
    table = metrics.pivot_table(index="run_id", columns="metric", values="value").join(runs.set_index("run_id"))
    for family, marker, error in (("lca", "X", 50.2), ("ista", "*", 86.9)):
        group = table[table["family"] == family].groupby(["family_options", "training"])[["lifetime_sparsity", "sse_at_mean"]].mean()
        expected = group[group["lifetime_sparsity"] >= 0.9].sort_values("sse_at_mean").iloc[0]
        assert np.allclose(best[marker], expected)
        assert expected["sse_at_mean"] <= error


def test_the_published_curve_over_beta_is_a_sigmoid(made, root):
    """The paper's: 1.7 times as sparse as the Gaussian (.37) where the squared error is 71.49."""
    path, _ = made("fig5a")
    (panel,) = drawn("fig5a", Canvas([path], [root / "results" / "published"])).axes
    fit = next(line for line in panel.lines if len(line.get_xdata()) == 200 and line.get_alpha())
    sparsity = np.interp(71.49, fit.get_ydata(), fit.get_xdata())
    assert abs(sparsity / 0.37 - 1.7) < 0.1


def test_relative_drops_are_from_the_best_seed_of_a_family(made):
    path, values = made("fig7")
    picture = drawn("fig7", Canvas([path]))
    titles = [panel.get_title() for panel in picture.axes]
    panel = picture.axes[titles.index("MNIST, linear encoder")]
    for family, line in zip(("gaussian", "poisson"), sorted(panel.lines, key=lambda line: len(line.get_ydata())), strict=True):
        mine = {key[2:]: value for key, value in values.items() if key[:2] == ("mnist", family)}
        best = min(mine.values())
        assert np.allclose(np.sort(line.get_ydata()), np.sort([100 * (value - best) / best for value in mine.values()]))
    assert [text.get_text() for text in panel.get_xticklabels()] == ["EX", "MC", "ST"]


def test_costs_over_latent_dimensions_have_t_intervals(made, tmp_path):
    path, values = made("fig8")
    published = Rows(tmp_path / "published")
    for seed in SEEDS:
        published.run(latent_dim=256, seed=seed, metrics=elbo_of(170.0 + seed))
    canvas = Canvas([path], [published.path])
    left, _ = drawn("fig8", canvas).axes
    lines, halves = bars(left), half_widths(left)
    for line, widths, encoder in zip(lines[:2], halves[:2], ("linear", "conv"), strict=True):
        mine = [values["van_hateren", encoder, size] for size in (256, 512, 1024)]
        assert np.allclose(line, [(size, np.mean(of)) for size, of in zip((256, 512, 1024), mine, strict=True)])
        assert np.allclose(widths, [t_interval(of) for of in mine])
    assert np.allclose(lines[2], [[256, 172.0]])
    assert left.containers[2].lines[0].get_alpha() < 1  # what is published is pale
    assert not canvas.missing


def test_final_temperatures_by_annealing_with_the_constant_one_in_both(made):
    path, values = made("fig9")
    picture = drawn("fig9", Canvas([path]))
    for panel, shape in zip(picture.axes[:2], ("linear", "exponential"), strict=True):
        relaxed_, hard = bars(panel)
        for line, estimator, shift in ((relaxed_, "mc", 1.0), (hard, "hard_forward", 1.06)):
            expected = [(stop * shift, np.mean(values[estimator, "linear" if stop == 1 else shape, stop])) for stop in (0.05, 0.5, 1.0)]
            assert np.allclose(line, expected)
        (inset,) = panel.child_axes
        assert np.allclose(inset.lines[0].get_xydata(), [(0, 1), (0.5, 0.05), (1, 0.05)])


def test_dead_units_are_counted_below_the_threshold_that_is_drawn(made):
    path, numbers = made("fig10")
    panels = {panel.get_title().split(",")[0]: panel for panel in drawn("fig10", Canvas([path])).axes if panel.get_title()}
    for family, threshold in {**FIGURE_KL, **FIGURE_NORM}.items():
        if family not in numbers:
            continue
        panel, mine = panels[family], numbers[family]
        assert panel.get_title() == f"{family}, dead units: {int((mine < threshold).sum())} of {len(mine)}"
        assert panel.lines[0].get_xdata()[0] == threshold
        alive, dead = (steps.get_data().values.sum() for steps in panel.patches)
        assert (alive, dead) == ((mine >= threshold).sum(), (mine < threshold).sum())
    assert panels["categorical"].get_xlabel() == "norm of dictionary element"


def test_thresholds_are_those_of_the_evaluation():
    assert DeadOptions().thresholds == {**FIGURE_KL, **FIGURE_NORM}


def test_accuracies_of_families_stand_side_by_side(made):
    path, values = made("fig11")
    (panel,) = drawn("fig11", Canvas([path])).axes
    for line, family in zip(bars(panel), ("poisson", "gaussian", "laplace"), strict=True):
        assert np.allclose(line[:, 1], [np.mean(values[family, size]) for size in (10, 50, 100)])
        assert np.array_equal(np.round(line[:, 0]), [0, 1, 2])
    assert len({float(x) for line in bars(panel) for x in line[:, 0]}) == 9


def test_samples_and_reconstructions_are_the_stored_pictures(made):
    path, arrays = made("fig12")
    panels = {panel.get_title(): panel for panel in drawn("fig12", Canvas([path])).axes}
    for family, stored in arrays.items():
        level = max(1.0, float(arrays["poisson"]["reconstructions"]["images"].max()))
        sampled = np.asarray(panels[f"{family}, samples"].images[0].get_array())
        assert np.allclose(sampled, tiled(stored["samples"]["images"].numpy(), white=level))
        reconstructed = np.asarray(panels[f"{family}, reconstructions"].images[0].get_array())
        images, decoded = (stored["reconstructions"][name].numpy()[:, 0] for name in ("images", "decoded_sample"))
        assert np.allclose(reconstructed[:5, 6:11], np.clip(images[1] / level, 0, 1))
        assert np.allclose(reconstructed[6:11, 6:11], np.clip(decoded[1] / level, 0, 1))


def test_pairs_leave_out_what_fills_no_row():
    images = np.arange(20 * 4, dtype=float).reshape(20, 1, 2, 2)
    shown = pairs(images, -images, None)
    assert shown.shape == (2 * 3 - 1, 16 * 3 - 1)


def test_colour_images_are_tiled_in_colour():
    images = np.random.default_rng(1).random((4, 3, 2, 2))
    picture = tiled(images, white=1.0)
    assert picture.shape == (5, 5, 3)
    assert np.allclose(picture[3:5, 0:2], images[2].transpose(1, 2, 0))


def test_training_curves_are_means_with_t_bands(made):
    path, values = made("training")
    picture = drawn("training", Canvas([path]))
    for panel, name in zip(picture.axes, ("reconstruction", "kl"), strict=True):
        for line, band, family in zip(panel.lines, panel.collections, ("poisson", "gaussian"), strict=True):
            runs = np.array(values[family, name])
            assert np.allclose(line.get_ydata(), runs.mean(0))
            top = band.get_paths()[0].vertices[:, 1].max()
            assert np.isclose(top, max(runs.mean(0) + [t_interval(at) for at in runs.T]))
    assert [text.get_text() for text in picture.legends[0].get_texts()] == ["poisson", "gaussian"]


def test_training_curves_that_would_mix_runs_are_refused(tmp_path):
    rows = Rows(tmp_path / "r")
    for size in (4, 8):
        rows.run(latent_dim=size, history={"kl": {1: 1.0, 2: 2.0}}, metrics=elbo_of(1.0))
    with pytest.raises(UserError, match="would average over latent_dim"):
        drawn("training", Canvas([rows.path]), by=["family"])
    picture = drawn("training", Canvas([rows.path]))
    assert [text.get_text() for text in picture.legends[0].get_texts()] == ["4", "8"]


def test_curves_of_a_family_share_its_colour_and_differ_in_their_lines(tmp_path):
    rows = Rows(tmp_path / "r")
    for family in ("gaussian", "poisson"):
        for estimator in ("exact", "mc"):
            rows.run(family=family, estimator=estimator, history={"kl": {1: 1.0, 2: 2.0}}, metrics=elbo_of(1.0))
    canvas = Canvas([rows.path])
    (panel,) = drawn("training", canvas).axes
    colours = {family: canvas.styles[family].colour for family in ("gaussian", "poisson")}
    expected = [(colours[family], style) for family in ("gaussian", "poisson") for style in ("-", "--")]
    assert [(line.get_color(), line.get_linestyle()) for line in panel.lines] == expected


def test_rates_and_distortions_are_means_on_lines_of_equal_cost(made):
    path, _ = made("rate_distortion")
    (panel,) = drawn("rate_distortion", Canvas([path])).axes
    (line,) = bars(panel)
    costs = [np.mean([100 * beta + seed for seed in SEEDS]) for beta in (0.5, 1.0)]
    assert np.allclose(line, [(cost / 4, cost * 3 / 4) for cost in costs])
    labelled = {float(text.get_text()) for text in panel.texts}
    lines = [line for line in panel.lines if len(line.get_xdata()) == 200]
    assert len(lines) >= 2
    for each in lines:
        totals = each.get_xdata() + each.get_ydata()
        assert np.allclose(totals, totals[0])
    assert labelled <= {round(float(each.get_xdata()[0] + each.get_ydata()[0]), 6) for each in lines}


def test_recovery_is_over_costs_with_its_control_and_sparse_coders_in_the_margin(made):
    path, values = made("recovery")
    panels = drawn("recovery", Canvas([path])).axes
    assert [panel.get_title() for panel in panels] == ["bars", "sparse_synthetic (laplace)", "sparse_synthetic (poisson)"]
    for panel, causes in zip(panels, (("bars", ""), ("sparse_synthetic", "laplace"), ("sparse_synthetic", "poisson")), strict=True):
        found = sorted(tuple(line[0].round(9)) for line in bars(panel))
        means = {family: round(float(np.mean(values[(*causes, family)])), 9) for family in ("poisson", "gaussian", "lca")}
        assert found == sorted([(82.0, means["poisson"]), (42.0, means["gaussian"]), (1.03, means["lca"])])
        (band,) = panel.patches
        heights = band.get_patch_transform().transform(band.get_path().vertices)[:, 1]  # a rectangle or a polygon, by matplotlib's version
        assert (heights.min(), heights.max()) == pytest.approx((0.24, 0.29))


def test_activity_is_over_the_weight_by_number_of_latents(made):
    path, values = made("metabolic_cost")
    picture = drawn("metabolic_cost", Canvas([path]))
    top = picture.axes[:2]
    assert [panel.get_title() for panel in top] == ["poisson", "gaussian+relu"]
    for panel, family in zip(top, ("poisson", "gaussian+relu"), strict=True):
        for line, size in zip(bars(panel), (32, 512), strict=True):
            assert np.allclose(line, [(beta, np.mean(values[family, size, beta])) for beta in (0.1, 1.0, 8.0)])
    assert [text.get_text() for text in picture.legends[0].get_texts()] == ["K = 32", "K = 512"]


def test_inference_is_over_its_steps_beside_what_is_published(made, root):
    path, values = made("inference_dynamics")
    panels = drawn("inference_dynamics", Canvas([path], [root / "results" / "published"])).axes
    published = pd.read_parquet(root / "results" / "published" / "metrics")
    for panel, (metric, scale) in zip(panels, {"r2_per_image_at": 1.0, "zero_fraction_at": 0.5, "update_norm_at": 3.0}.items(), strict=True):
        *theirs, gaussian, poisson = bars(panel)
        for line, family in ((gaussian, "iterative_gaussian"), (poisson, "iterative_poisson")):
            assert np.allclose(line, [(t, scale * np.mean(values[family, t])) for t in (1.0, 2.0, 10.0, 100.0)])
        stored = published[(published["metric"] == metric) & (published["index_name"] == "t")]
        assert {tuple(point) for line in theirs for point in line} <= set(zip(stored["index"], stored["value"], strict=True))
        assert [len(line) for line in theirs] == [36, 36]  # of the rectified Gaussian, of which nothing of ours is there, none


def test_models_of_a_family_whose_curves_would_look_alike_are_named(tmp_path):
    rows = Rows(tmp_path / "r")
    for steps in (8, 16):
        measured = {"inference_dynamics": {"r2_per_image_at": {1.0: 0.1}}}
        rows.run(family="iterative_poisson", family_options={"steps": steps}, metrics=measured)
    with pytest.raises(UserError, match=r"2 models.* --only: family_options.steps=16, beta=1.*; family_options.steps=8, beta=1"):
        drawn("inference_dynamics", Canvas([rows.path]))
    only = {"family_options.steps": [8]}
    assert len(bars(drawn("inference_dynamics", Canvas([rows.path], only=only)).axes[0])) == 1


def test_a_card_has_the_distributions_of_units_and_the_fields_of_those_that_respond_most(made):
    path, numbers = made("v1_card")
    picture = drawn("v1_card", Canvas([path]))
    assert picture.get_suptitle() == "poisson, van_hateren, K = 512, seed 1"
    by_label = {panel.get_xlabel(): panel for panel in picture.axes}
    counts = [patch.get_height() for patch in by_label["F1/F0"].patches]
    assert counts == np.histogram(numbers["modulation_ratio"][5:], 20, (0, 2))[0].tolist()
    (median,) = by_label["F1/F0"].lines
    assert median.get_xdata()[0] == np.median(numbers["modulation_ratio"][5:])
    points = by_label["n_x [cycles]"].lines[0]
    assert np.allclose(points.get_xydata(), np.stack([numbers["field_n_x"], numbers["field_n_y"]], 1))
    shown = np.asarray(picture.axes[-1].images[0].get_array())
    assert shown.shape == (35, 35)


def test_distortions_without_different_constants_are_not_compared(tmp_path):
    rows = Rows(tmp_path / "r")
    for likelihood, constant in (("gaussian", 1.0), ("bernoulli", 0.0)):
        rows.run(likelihood=likelihood, cost_constant=constant, family=likelihood, metrics=elbo_of(1.0))
    with pytest.raises(UserError, match="different constants"):
        drawn("rate_distortion", Canvas([rows.path]))


def test_a_forest_has_paired_differences_with_their_t_intervals(tmp_path):
    rows, random = Rows(tmp_path / "r"), np.random.default_rng(3)
    values = {family: 100 + place + random.normal(size=5) for place, family in enumerate(("gaussian", "poisson", "laplace"))}
    for family, of in values.items():
        for seed, value in enumerate(of):
            rows.run(family=family, seed=seed, metrics=elbo_of(float(value)), declared=LOWER)
    picture = drawn("forest", Canvas([rows.path]), baseline="family=gaussian")
    (panel,) = picture.axes
    labels = [text.get_text() for text in panel.get_yticklabels()]
    shown = {labels[int(line[0, 1])]: (line[0, 0], container) for line, container in zip(bars(panel), panel.containers, strict=True)}
    assert set(shown) == {"poisson", "laplace"}
    p = {family: stats.ttest_rel(values[family], values["gaussian"]).pvalue for family in shown}
    for family, (mean, container) in shown.items():
        differences = values[family] - values["gaussian"]
        assert np.isclose(mean, differences.mean())
        (segment,) = container.lines[2][0].get_segments()
        assert np.isclose((segment[1, 0] - segment[0, 0]) / 2, t_interval(differences))
        significant = p[family] * len([other for other in p.values() if other >= p[family]]) < 0.01
        assert (container.lines[0].get_markerfacecolor() != "white") == significant


HOSTILE = ("$\\frac{1}$", "_hidden", "a_b^c", "<script>", "x" * 300, "\N{RIGHT-TO-LEFT OVERRIDE}evil", "two\nlines", "\N{SNOWMAN}")


@pytest.mark.parametrize("figure", ["fig11", "training"])
def test_names_of_strangers_are_shown_and_mean_nothing(tmp_path, figure):
    rows = Rows(tmp_path / "r")
    for family in (*HOSTILE, "poisson"):
        run = {"dataset": "mnist", "encoder": "conv", "decoder": "conv", "latent_dim": 10}
        rows.run(family=family, metrics={"linear_probe": {"linear_probe_accuracy": 0.5}}, history={"kl": {1: 1.0, 2: 2.0}}, **run)
    picture = drawn(figure, Canvas([rows.path]))
    texts = [text.get_text() for text in picture.legends[0].get_texts()]
    assert len(texts) == len(HOSTILE) + 1
    assert {"$\\frac{1}$", "a_b^c", "<script>", " _hidden", "two\N{REPLACEMENT CHARACTER}lines"} <= set(texts)
    assert all(text.isprintable() and len(text) <= 60 for text in texts)
    with drawing_style():
        svg = to_bytes(picture, "svg")  # which needs every text drawn
        assert to_bytes(picture, "pdf")
    assert b"<script" not in svg


def test_a_family_looks_the_same_in_every_figure_whatever_else_is_there(tmp_path):
    one, other = Rows(tmp_path / "one"), Rows(tmp_path / "other")
    for family in ("gumbel", "poisson"):
        one.run(family=family)
    for family in ("gumbel", "gaussian", "zeta"):
        other.run(family=family)
    looks = []
    for path in (one.path, other.path):
        canvas = Canvas([path])
        canvas.reserved = load_reporting().parts["figures"]["fig8"].families
        looks.append(canvas.styles)
    assert looks[0]["gumbel"] == looks[1]["gumbel"]
    assert looks[0]["poisson"] == looks[1]["poisson"]
    assert len({(style.colour, style.marker) for style in looks[1].values()}) == len(looks[1])


def test_the_figure_of_the_documentation_works(root, tmp_path):
    (code,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", (root / "docs" / "extending" / "figure.md").read_text(), re.DOTALL)
        if "(Figure)" in block
    ]
    module = types.ModuleType("latentbench_spikes")
    exec(code, module.__dict__)
    loaded = Loaded(KINDS)
    fill(loaded, [("latentbench_spikes", module)], GROUP)
    assert loaded.broken == {}
    figure = loaded.parts["figures"]["spikes"]
    assert figure.caption() == "Spikes of an image over the KL weight, mean and 99 % interval over seeds."
    rows = Rows(tmp_path / "r")
    for beta in (0.5, 1.0):
        for seed in SEEDS:
            rows.run(beta=beta, seed=seed, metrics={"spike_counts": {"spikes_per_image": 10 * beta + seed}})
    with drawing_style():
        (panel,) = draw(figure(figure.options_model()), Canvas([rows.path])).axes
        assert np.allclose(bars(panel)[0], [(0.5, 7), (1.0, 12)])
        with pytest.raises(UserError, match="figure 'spikes'"):
            draw(figure(figure.options_model(dataset="digits")), Canvas([rows.path]))


def test_units_without_a_finite_number_are_said_and_left_out(tmp_path):
    rows = Rows(tmp_path / "r")
    rows.run(units={"elbo": {"kl": [0.001, 0.5, np.nan, np.inf]}}, metrics=elbo_of(1.0))
    canvas = Canvas([rows.path])
    (panel, *_) = drawn("fig10", canvas).axes
    assert panel.get_title() == "poisson, dead units: 1 of 2"
    assert "poisson: 2 of 4 units have no finite number" in canvas.missing


def test_a_figure_without_a_caption_is_left_out():
    class Bare(Figure):
        name = "bare"

        def draw(self, canvas):
            raise AssertionError

    module = types.ModuleType("latentbench_bare")
    module.register_figures = hookimpl(lambda: [Bare], specname="register_figures")
    loaded = Loaded(KINDS)
    fill(loaded, [("latentbench_bare", module)], GROUP)
    assert loaded.broken == {"latentbench_bare": "register_figures: Bare has no docstring, whose first paragraph is its caption"}


ASKED = {
    "fig3": "fig9", "fig4": "fig4", "fig5a": "fig5", "fig5b": "fig5b", "fig7": "table2_5", "fig8": "fig8", "fig9": "fig9", "fig10": "fig4",
    "fig11": "fig11", "fig12": "fig12", "training": "fig12", "rate_distortion": "fig5", "forest": "table2_5",
}  # fmt: skip


@pytest.fixture(scope="module")
def paper(root, tmp_path_factory, registry):
    """Made-up results of all runs of paper.yaml."""
    return make(root / "suites" / "paper.yaml", tmp_path_factory.mktemp("paper"), failed=0.01, registry=registry).folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_every_figure_of_the_paper_is_drawn_from_its_suite(paper, root, name):
    asked_for = asked(root / "suites" / f"{ASKED[name]}.yaml", [paper])
    canvas = Canvas([paper], [root / "results" / "published"], asked=asked_for)
    with drawing_style():
        assert to_bytes(draw(figure_named(name, {}), canvas), "pdf").startswith(b"%PDF")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ASKED.keys() - {"training", "forest"}))  # which compare whatever varies, and ask for a choice
def test_every_figure_of_the_paper_is_drawn_from_a_folder_of_all_suites_in_seconds(paper, root, name):
    started = time.process_time()
    with drawing_style():
        draw(figure_named(name, {}), Canvas([paper], [root / "results" / "published"]))
    assert time.process_time() - started < 6

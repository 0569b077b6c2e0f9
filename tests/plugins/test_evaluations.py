"""Evaluations against closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from latentbench_evaluations.pictures import grid
from latentbench_evaluations.sparsity import lifetime_sparsity
from latentbench_evaluations.spike_counts import fano_factor
from pydantic import ValidationError
from scipy import stats
from scipy.integrate import quad
from scipy.special import expit

from latentbench.data.dataset import Splits
from latentbench.errors import UserError
from latentbench.evaluation.outcome import Metric, Outcome
from latentbench.evaluation.trained import Trained
from latentbench.execution.evaluate import check_outcome
from latentbench.files import cache_folder
from latentbench.models.model import build_model
from latentbench.registry import load_registry
from latentbench.streams import stream
from latentbench.suites.resolve import assemble

N = 200_000


def trained(make_run, registry, **changes):
    run = make_run(**changes).run
    assembly = assemble(run, registry)
    model = build_model(assembly, run.seed, "cpu", torch.float32).eval()
    return Trained(model, assembly.dataset.load(cache_folder()), run.seed)


def outcome(registry, name, given, **options):
    part = registry.evaluation(name)
    return part(part.options_model(**options)).evaluate(given, stream(1))


def values(result):
    return {m.name: m.value for m in result.metrics if m.index is None}


def test_lifetime_sparsity_of_extremes():
    z = torch.zeros(4, 3)
    z[0, 0] = 5.0  # responds once
    z[:, 1] = 2.0  # responds alike to all; unit 2 never does
    assert lifetime_sparsity(z).tolist() == pytest.approx([1.0, 0.0, 1.0])
    assert lifetime_sparsity(torch.tensor([[1.0], [3.0]])).item() == pytest.approx((1 - 16 / (2 * 10)) / (1 - 1 / 2))


@pytest.mark.parametrize(
    ("family", "expected"), [("gaussian", 1 - 2 / math.pi), ("laplace", 0.5), ("gaussian+relu", 1 - 1 / math.pi), ("gaussian+exp", 1 - math.exp(-1))]
)
def test_a_unit_that_ignores_its_input_has_the_sparsity_of_the_prior(family, expected, make_run, registry):
    prior = trained(make_run, registry, family=family).model.family.prior(N)
    measured = float(lifetime_sparsity(prior.sample(stream(2))).mean())
    assert measured == pytest.approx(expected, abs=0.01 if family == "gaussian+exp" else 0.004)


def test_a_poisson_unit_of_rate_r_has_lifetime_sparsity_one_over_one_plus_r():
    for rate in (0.02, 1.0, 5.0):
        z = torch.poisson(torch.full((N, 1), rate), generator=stream(3))
        assert float(lifetime_sparsity(z)) == pytest.approx(1 / (1 + rate), abs=0.01)


def test_elbo_adds_up(make_run, registry):
    given = trained(make_run, registry, family="gaussian")
    result = outcome(registry, "elbo", given)
    found = values(result)
    assert found["nelbo"] == pytest.approx(found["reconstruction"] + found["kl"], rel=1e-6)
    assert float(result.units[0].values.sum()) == pytest.approx(found["kl"], rel=1e-5)
    images, codes = given.splits["validation"].images, given.codes("validation")
    nelbo = next(m for m in result.metrics if m.name == "nelbo")
    assert nelbo.n == len(images) == 360
    assert nelbo.standard_error == pytest.approx(float(codes.costs["nelbo"].double().std()) / 360**0.5)
    error = (images - given.model.decoder(codes.mean).detach()).square().sum((1, 2, 3))
    assert found["sse_at_mean"] == pytest.approx(float(error.mean()), rel=1e-5)
    variance = (images - images.mean(0)).square().sum((1, 2, 3))
    assert found["r2"] == pytest.approx(1 - float(error.sum() / variance.sum()), rel=1e-4)


def test_the_location_error_leaves_the_activation_out(make_run, registry):
    given = trained(make_run, registry, family="gaussian+exp")
    found = values(outcome(registry, "elbo", given))
    assert found["sse_at_location"] != pytest.approx(found["sse_at_mean"], rel=0.01)


def test_a_sparse_coder_has_its_own_cost_and_no_nelbo(make_run, registry):
    given = trained(make_run, registry, family="test_lca")
    found = values(outcome(registry, "elbo", given))
    assert "nelbo" not in found
    assert found["sparse_coding_cost"] == pytest.approx(found["squared_error"] + found["penalty"], rel=1e-5)
    assert "lifetime_sparsity_prior" not in values(outcome(registry, "sparsity", given))
    run = make_run(family="test_lca")
    part = registry.evaluation("active_units")
    assert "infers points" in part.inapplicable(run.assembly, part.options_model())


def test_active_units_counts_units_above_the_threshold(make_run, registry):
    given = trained(make_run, registry, family="gaussian")
    mean = given.codes("validation").kl.double().mean(0).sort().values
    threshold = float(mean[2:4].mean())
    result = outcome(registry, "active_units", given, threshold=threshold)
    assert values(result)["active_fraction"] == pytest.approx(3 / 6)
    curve = [m for m in result.metrics if m.name == "active_fraction_at"]
    assert [m.value for m in curve] == sorted((m.value for m in curve), reverse=True)
    assert all(m.index_name == "threshold" for m in curve)


def test_the_authors_rules_are_left_out_where_they_do_not_apply(make_run, registry):
    part = registry.evaluation("active_units")

    def reason(rule, **changes):
        assembly = assemble(make_run(**changes).run, registry)
        return part.inapplicable(assembly, part.options_model(rule=rule))

    assert reason("paper") is None
    assert reason("paper", decoder="mlp") == "the authors' rule for 'poisson' needs a linear decoder here"
    assert reason("paper", decoder="mlp", encoder="conv") is None
    assert reason("paper", decoder="mlp", family="gaussian") is None
    assert reason("figure4", decoder="mlp") is None
    assert reason("figure4", decoder="mlp", family="categorical") == "the authors' rule for 'categorical' needs a linear decoder here"
    assert "no threshold for 'gaussian+relu'" in reason("figure4", family="gaussian+relu")
    assert reason("threshold", decoder="mlp", family="categorical") is None


def test_codes_do_not_depend_on_what_was_measured_before(make_run, registry):
    one, other = (trained(make_run, registry) for _ in range(2))
    one.prior_samples(10), one.codes("train")
    assert torch.equal(one.codes("validation").sample, other.codes("validation").sample)
    assert one.codes("validation") is one.codes("validation")


FAMILIES = ("poisson", "gaussian", "laplace", "categorical", "gaussian+relu", "gaussian+exp", "lca", "test_lca")


OF_ONE_MODEL = sorted(
    name
    for name, part in load_registry().parts["evaluations"].items()
    if not (part.checkpoints(part.options_model()) or part.builds(part.options_model()))
)
"""Evaluations that need nothing but the trained model; tests/evaluation has the others."""


@pytest.mark.parametrize("name", OF_ONE_MODEL)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_evaluation_measures_every_family_it_applies_to(name, family, make_run, registry):
    """Finite numbers with a name, the same at every call; a curve's points differ in their index."""
    given = trained(make_run, registry, family=family)
    part = registry.evaluation(name)
    if part.inapplicable(given.assembly, part.options_model()) is not None:
        pytest.skip(part.inapplicable(given.assembly, part.options_model()))
    result, again = outcome(registry, name, given), outcome(registry, name, given)
    assert result.metrics
    check_outcome(part, result, given.model.family)
    assert all(math.isfinite(m.value) for m in result.metrics)
    assert [m.value for m in result.metrics] == [m.value for m in again.metrics]
    points = [(m.name, m.split, m.index) for m in result.metrics]
    assert len(set(points)) == len(points)
    assert all(picture.dtype == torch.uint8 and picture.ndim == 2 for picture in result.pictures.values())
    assert all(torch.isfinite(array).all() for array in result.arrays.values())


@pytest.mark.parametrize(
    ("name", "metric", "message"),
    [
        (
            "elbo",
            Metric("r3", 1.0),
            r"Elbo.evaluate\(...\) returned the metric 'r3', which is not declared \(did you mean 'r2'\?\); declared: nelbo, ",
        ),
        ("sparsity", Metric("nelbo", 1.0), "returned the metric 'nelbo', which is not declared; declared: lifetime_sparsity"),
        ("knn", Metric("knn_accuracy", 1.0), "returned the metric 'knn_accuracy' with the index None, and it declares 'sample_size'"),
    ],
)
def test_a_metric_that_is_not_declared_is_refused(name, metric, message, make_run, registry):
    with pytest.raises(UserError, match=message):
        check_outcome(registry.evaluation(name), Outcome([metric]), trained(make_run, registry).model.family)


class Labelled:
    """A trained model whose codes are what a test says."""

    def __init__(self, given, features):
        self.given, self.splits, self.assembly = given, given.splits, given.assembly
        self.table = {split: features(data.labels) for split, data in given.splits.items()}

    def codes(self, split):
        codes = self.given.codes(split)
        return replace(codes, representation=self.table[split], mean=torch.zeros_like(codes.mean))


def one_hot(labels):
    return torch.nn.functional.one_hot(labels, 10).float()


@pytest.mark.parametrize(
    ("name", "metric"), [("knn", "knn_accuracy"), ("shattering", "shattering_accuracy"), ("linear_probe", "linear_probe_accuracy")]
)
def test_readouts_find_labels_that_are_there_and_none_that_are_not(name, metric, make_run, registry):
    """One-hot labels as features are read perfectly; a constant feature gives chance: about 1 in 10, or a half for halves of the classes."""
    given = trained(make_run, registry)
    options = {"sizes": [10_000]} if name == "knn" else {}
    perfect = outcome(registry, name, Labelled(given, one_hot), **options)
    nothing = outcome(registry, name, Labelled(given, one_hot), readout="mean", **options)
    found = {m.name: m.value for m in perfect.metrics}, {m.name: m.value for m in nothing.metrics}
    assert found[0][metric] == 1.0
    chance = 0.5 if name == "shattering" else 0.1
    assert found[1][metric] == pytest.approx(chance, abs=0.06)


def test_knn_draws_from_the_first_half_and_tests_on_the_second(make_run, registry):
    given = trained(make_run, registry)
    result = outcome(registry, "knn", given, sizes=[20, 100, 5000], draws=7)
    assert [(m.index, m.n) for m in result.metrics] == [(20, 7), (100, 7), (180, 1)]
    x, y = given.codes("validation").representation.numpy(), given.splits["validation"].labels.numpy()
    distances = ((x[180:, None] - x[None, :180]) ** 2).sum(2)
    nearest = y[:180][np.argsort(distances, axis=1, kind="stable")[:, :5]]
    votes = np.array([np.bincount(row, minlength=10).argmax() for row in nearest])
    assert result.metrics[-1].value == pytest.approx((votes == y[180:]).mean(), abs=1e-9)


def knn_draws(given, registry, **options):
    return outcome(registry, "knn", given, **options).arrays["accuracies"]


def test_knn_keeps_the_accuracy_of_every_draw(make_run, registry):
    given = trained(make_run, registry)
    result = outcome(registry, "knn", given, sizes=[20, 100, 5000], draws=7)
    assert result.arrays["sizes"].tolist() == [20, 100, 180]
    accuracies = result.arrays["accuracies"]
    assert accuracies.shape == (3, 7)
    assert accuracies.mean(1).tolist() == pytest.approx([m.value for m in result.metrics])
    assert float(accuracies[0].std()) / 7**0.5 == pytest.approx(result.metrics[0].standard_error)
    assert set(accuracies[2].tolist()) == {result.metrics[2].value}


def test_knn_draws_the_same_labelled_images_for_every_model(make_run, registry):
    """Two models with the same features have the same accuracies, whatever their seeds, and whatever else is drawn."""
    one, other = (Labelled(trained(make_run, registry, seed=seed), one_hot) for seed in (1, 2))
    for given in (one, other):  # few labels of each class: draws differ in the classes that they miss
        assert torch.equal(given.splits["validation"].labels, one.splits["validation"].labels)
    few = knn_draws(one, registry, sizes=[12], draws=9)
    assert few.std() > 0
    assert torch.equal(few, knn_draws(other, registry, sizes=[12], draws=9))
    assert torch.equal(few[:, :4], knn_draws(other, registry, sizes=[12, 50], draws=4)[:1])


def test_shattering_is_the_mean_of_scikit_learn_s_regressions(make_run, registry):
    from itertools import combinations

    from sklearn.linear_model import LogisticRegression

    given = trained(make_run, registry, family="gaussian")
    (x, y), (test_x, test_y) = (
        (given.codes(split).representation.double().numpy(), given.splits[split].labels.numpy()) for split in ("train", "validation")
    )
    accuracies = []
    for chosen in combinations(range(10), 5):
        if 0 in chosen:
            model = LogisticRegression(max_iter=10_000, tol=1e-6).fit(x, np.isin(y, chosen))
            accuracies.append(model.score(test_x, np.isin(test_y, chosen)))
    result = outcome(registry, "shattering", given)
    assert result.metrics[0].n == len(accuracies) == 126
    assert result.metrics[0].value == pytest.approx(np.mean(accuracies), abs=4e-4)
    assert result.metrics[0].standard_error == pytest.approx(np.std(accuracies, ddof=1) / 126**0.5, rel=0.02)


def test_readouts_need_labels(make_run, registry):
    run = make_run(dataset="photo_patches")
    for name in ("knn", "shattering", "linear_probe"):
        part = registry.evaluation(name)
        assert part.inapplicable(run.assembly, part.options_model()) == "it needs labels, and 'photo_patches' has none"


def test_a_dictionary_is_ordered_by_kl(make_run, registry):
    given = trained(make_run, registry)
    result = outcome(registry, "dictionary", given)
    kl = given.codes("validation").kl.mean(0)
    order = result.arrays["order"]
    assert torch.equal(kl[order], kl.sort().values)
    assert torch.equal(result.arrays["elements"][0].flatten(), given.model.decoder.weight[:, order[0]])


def test_reconstructions_and_samples_are_decoded_true_samples(make_run, registry):
    given = trained(make_run, registry)
    seen = outcome(registry, "reconstructions", given, n=5).arrays
    assert torch.equal(seen["images"], given.splits["validation"].images[:5])
    assert torch.equal(seen["decoded_sample"], given.decode(given.codes("validation").sample[:5]))
    drawn = outcome(registry, "samples", given, n=9)
    assert torch.equal(drawn.arrays["images"], given.decode(given.prior_samples(9)))
    assert values(drawn)["prior_energy"] == pytest.approx(float(drawn.arrays["images"].square().sum((1, 2, 3)).mean()), rel=1e-5)


def test_a_picture_scales_every_image_by_itself_unless_pixels_are_shared():
    images = torch.tensor([-1.0, 0.0, 2.0, 0.5]).view(1, 1, 2, 2)
    assert grid(images, zoom=1)[:2, :2].tolist() == [[64, 128], [255, 159]]
    assert grid(images, 1.0, zoom=1)[:2, :2].tolist() == [[0, 0], [255, 128]]


def test_a_picture_of_colour_images_has_their_channels_last():
    images = torch.tensor([0.0, 0.4, 1.0]).view(1, 3, 1, 1).expand(2, 3, 4, 5).clone()
    images[1] = images[1].flip(0)
    picture = grid(images, 1.0, columns=2, zoom=2)
    assert picture.dtype == torch.uint8
    assert picture.shape == (2 * 5, 2 * 2 * 6, 3)
    assert picture[0, 0].tolist() == [0, 102, 255]
    assert picture[7, 12 + 9].tolist() == [255, 102, 0]
    assert picture[9, 3].tolist() == [255, 255, 255]  # between images
    assert grid(torch.tensor([-1.0, 0.0, 2.0]).view(1, 3, 1, 1), zoom=1)[0, 0].tolist() == [64, 128, 255]  # one scale for all three


def test_counts_are_shown_from_none_to_the_largest_of_the_training_images(make_run, registry):
    given = trained(make_run, registry, dataset_options__scale="count", likelihood="poisson")
    assert float(given.splits["train"].images.max()) == 16
    shown = outcome(registry, "reconstructions", given, n=1).pictures["reconstructions"][:24:3, :24:3]
    assert shown.tolist() == (given.splits["validation"].images[0, 0] * 255 / 16).round().tolist()


def test_a_dictionary_of_colour_images_keeps_the_channels_of_its_elements(make_run, registry):
    given = trained(make_run, registry, dataset="photo_patches", dataset_options__colour=True)
    arrays = outcome(registry, "dictionary", given).arrays
    assert arrays["elements"].shape == (6, 3, 16, 16)
    assert torch.equal(arrays["elements"][2].flatten(), given.model.decoder.weight[:, arrays["order"][2]])


SHOWN = "it shows grey or colour images, and items of 'digits' have the shape [64]"


@pytest.mark.parametrize(
    ("name", "dataset", "options", "reason"),
    [
        *((name, "digits", {"flat": True}, SHOWN) for name in ("samples", "reconstructions", "dictionary")),
        ("gabor_fit", "digits", {"flat": True}, "it needs images of one channel, and items of 'digits' have the shape [64]"),
        ("gabor_fit", "photo_patches", {"colour": True}, "it needs images of one channel, and items of 'photo_patches' have the shape [3, 16, 16]"),
        *((name, "photo_patches", {"colour": True}, None) for name in ("samples", "reconstructions", "dictionary")),
        *((name, "digits", {}, None) for name in ("samples", "reconstructions", "dictionary", "gabor_fit")),
    ],
)
def test_evaluations_of_images_say_which_they_need(name, dataset, options, reason, make_run, registry):
    assembly = make_run(dataset=dataset, **{f"dataset_options__{key}": value for key, value in options.items()}).assembly
    part = registry.evaluation(name)
    assert part.inapplicable(assembly, part.options_model()) == reason


@pytest.mark.parametrize(
    ("shape", "allowed"), [((4, 5), True), ((4, 5, 3), True), ((4, 5, 1), False), ((4, 5, 4), False), ((3, 4, 5), False), ((2, 4, 5, 3), False)]
)
def test_pictures_are_grey_or_red_green_and_blue(shape, allowed, make_run, registry):
    part, family = registry.evaluation("samples"), trained(make_run, registry).model.family
    result = Outcome([Metric("prior_energy", 1.0)], pictures={"p": torch.zeros(shape, dtype=torch.uint8)})
    if allowed:
        check_outcome(part, result, family)
    else:
        with pytest.raises(UserError, match=r"the picture 'p' as uint8 \[.*\], expected bytes, uint8 \[H, W\] or \[H, W, 3\]"):
            check_outcome(part, result, family)


def test_histograms_of_relaxed_counts_have_the_means_of_quadrature(make_run, registry):
    """E z = sum over n_exp arrivals of E sigmoid((1 - S_n) / T) with Gamma-distributed S_n; five standard errors (fails with probability 2e-6)."""
    result = outcome(registry, "relaxed_poisson", trained(make_run, registry), rate=1.0, n=200_000)
    n_exp = int(stats.poisson.ppf(1 - 1e-5, 1.0))

    def share(time, n, t):
        return stats.gamma.pdf(time, n) * expit((1 - time) / t)

    for metric in result.metrics:
        t = metric.index
        arrivals = [quad(share, 0, 1 + 40 * t, args=(n, t), points=[1.0], limit=200)[0] for n in range(1, n_exp + 1)] if t else [1.0]
        assert abs(metric.value - sum(arrivals)) < 5 * metric.standard_error
    histograms = result.arrays["histograms"]
    assert torch.allclose(histograms.sum(1), torch.tensor(100.0, dtype=torch.float64), atol=0.01)
    counts = histograms[-1][::20][:5] / 100  # the bins around 0, 1, 2, 3, 4
    assert torch.allclose(counts, torch.from_numpy(stats.poisson.pmf(np.arange(5), 1.0)), atol=5 * 0.5 / 200_000**0.5)


def test_spikes_are_counted_and_poisson_units_have_a_fano_factor_of_one():
    """A unit of constant rate has variance = mean; one whose rate varies has more. Large samples, five standard errors."""
    n = 100_000
    constant = torch.poisson(torch.full((n, 1), 2.0), generator=stream(1)).double()
    varying = torch.poisson(torch.tensor([1.0, 3.0]).repeat(n // 2)[:, None], generator=stream(2)).double()
    assert float(fano_factor(constant)) == pytest.approx(1.0, abs=5 * (2 / n) ** 0.5)
    assert float(fano_factor(varying)) == pytest.approx(1.5, abs=0.05)


def test_spikes_per_image_are_sums_of_counts(make_run, registry):
    given = trained(make_run, registry)
    found = values(outcome(registry, "spike_counts", given))
    assert found["spikes_per_image"] == pytest.approx(float(given.codes("validation").sample.sum(1).mean()))
    run = make_run(family="categorical")
    assert "samples of 'categorical' are none" in registry.evaluation("spike_counts").inapplicable(run.assembly, None)


def test_swapped_inference_solves_the_lasso_on_the_model_s_dictionary(make_run, registry):
    """At scikit-learn's optimum for columns scaled to unit norm the exact codes' squared error is the same, LCA's near; more lambda, more error."""
    from sklearn.linear_model import Lasso

    given = trained(make_run, registry, family="gaussian", latent_dim=20)
    result = outcome(registry, "inference_swap", given, l1_weights=[0.05, 0.5], images=25, lca_iterations=3000, tau=20.0)
    points = {(m.name, m.index): m.value for m in result.metrics}
    chosen = torch.linspace(0, 359, 25, dtype=torch.float64).round().long()
    x = given.splits["validation"].images[chosen].flatten(1).double().numpy()
    phi = given.model.decoder.weight.detach().double().numpy()
    phi /= np.linalg.norm(phi, axis=0)
    for l1 in (0.05, 0.5):
        z = Lasso(alpha=l1 / 64, positive=True, fit_intercept=False, tol=1e-12, max_iter=10**6).fit(phi, x.T).coef_
        expected = ((x - z @ phi.T) ** 2).sum(1).mean()
        assert points["lasso_sse", l1] == pytest.approx(expected, rel=1e-3)
        assert points["lca_sse", l1] == pytest.approx(expected, rel=1e-2)
        assert points["lasso_lifetime_sparsity", l1] == pytest.approx(float(lifetime_sparsity(torch.from_numpy(z)).mean()), abs=0.01)
    assert points["lasso_sse", 0.5] > points["lasso_sse", 0.05]
    decoded = given.decode(given.codes("validation").mean[chosen]).flatten(1).numpy()
    assert points["encoder_sse", None] == pytest.approx(((x - decoded) ** 2).sum(1).mean(), rel=1e-4)
    assert points["lasso_missed", 0.5] == 0


def test_exact_codes_that_miss_their_tolerance_are_counted(make_run, registry):
    given = trained(make_run, registry, family="gaussian", latent_dim=20)
    result = outcome(registry, "inference_swap", given, l1_weights=[1e-6], images=25, lca_iterations=5, tolerance=1e-15)
    assert {m.name: m.value for m in result.metrics}["lasso_missed"] > 0


def test_inference_without_a_penalty_is_refused(registry):
    with pytest.raises(ValidationError, match="greater than 0"):
        registry.evaluation("inference_swap").options_model(l1_weights=[0.1, 0])


def fewer(given, images):
    """The same model, evaluated on few images."""
    splits = {name: split.limited(images / len(split.images)) for name, split in given.splits.items()}
    few = Trained(given.model, Splits(splits["train"], splits["validation"]), given.seed)
    assert len(few.splits["validation"].images) == images
    return few


@pytest.mark.parametrize(
    ("name", "changes", "images", "missing"),
    [
        ("sparsity", {}, 1, {"lifetime_sparsity", "lifetime_sparsity_prior"}),
        ("sparsity", {"latent_dim": 1}, 40, {"population_sparsity", "population_sparsity_prior"}),
        ("elbo", {}, 1, {"r2"}),
        ("spike_counts", {}, 1, {"fano_factor"}),
        ("inference_swap", {}, 1, {"encoder_lifetime_sparsity", "lca_lifetime_sparsity", "lasso_lifetime_sparsity"}),
    ],
)
def test_what_is_not_defined_is_left_out_and_the_rest_is_finite(name, changes, images, missing, make_run, registry):
    given = trained(make_run, registry, **changes)
    options = {"l1_weights": [0.1], "lca_iterations": 5} if name == "inference_swap" else {}
    usual, few = outcome(registry, name, fewer(trained(make_run, registry), 40), **options), outcome(registry, name, fewer(given, images), **options)
    check_outcome(registry.evaluation(name), few, given.model.family)  # no number that is not finite
    assert {m.name for m in usual.metrics} - {m.name for m in few.metrics} == missing


def test_readouts_of_too_few_images_say_so(make_run, registry):
    few = fewer(trained(make_run, registry), 1)
    with pytest.raises(UserError, match="one validation image cannot be both labelled and tested"):
        outcome(registry, "knn", few)
    few.splits["validation"] = replace(few.splits["validation"], labels=torch.tensor([11]))
    few.splits["train"] = trained(make_run, registry).splits["train"]
    with pytest.raises(UserError, match="no label of the 1 validation images occurs in the 1437 training images"):
        outcome(registry, "shattering", few)

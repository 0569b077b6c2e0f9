"""Data sets whose truth is known: images are what their causes make, causes have the moments of their distribution, splits are independent."""

import math

import pytest
import torch
from latentbench_datasets.bars import one_bar_each
from latentbench_datasets.sparse_synthetic import draw_causes, gabor_elements

from latentbench.data.dataset import load
from latentbench.files import cache_folder
from latentbench.streams import stream

N = 200_000


def made(registry, name, **options):
    part = registry.dataset(name)
    return load(part(part.options_model(**options)), cache_folder())


def test_without_noise_a_pixel_is_bright_where_a_bar_of_its_causes_is(registry):
    splits = made(registry, "bars", size=5, intensity=3, noise=0, train=50, probability=0.3)
    for image, causes in zip(splits.train.images[:, 0], splits.train.causes, strict=True):
        expected = [[3.0 * bool(causes[row] or causes[5 + column]) for column in range(5)] for row in range(5)]
        assert image.tolist() == expected


def test_the_dictionary_of_bars_has_one_bar_each(registry):
    dictionary = made(registry, "bars", size=5, intensity=3).dictionary
    assert dictionary.shape == (25, 10)
    assert dictionary.sum(0).tolist() == [15.0] * 10
    assert torch.equal(dictionary[:, 2].reshape(5, 5), 3 * one_bar_each(5)[2])
    assert one_bar_each(5)[2, 2].tolist() == [1.0] * 5
    assert one_bar_each(5)[7, :, 2].tolist() == [1.0] * 5


def test_bars_are_independent_and_as_frequent_as_stated(registry):
    causes = made(registry, "bars", probability=0.2, train=N, size=3).train.causes.double()
    error = (0.2 * 0.8 / N) ** 0.5
    assert (causes.mean(0) - 0.2).abs().max() < 5 * error
    assert (torch.corrcoef(causes.T) - torch.eye(6)).abs().max() < 5 / N**0.5


@pytest.mark.parametrize(("kind", "kurtosis"), [("gaussian", 3), ("laplace", 6)])
def test_causes_have_variance_one_where_they_are_not_zero(kind, kurtosis):
    causes = draw_causes(kind, 0.25, (N, 4), stream(1)).double()
    there = causes[causes != 0]
    assert len(there) / causes.numel() == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / causes.numel()) ** 0.5)
    assert float(there.mean()) == pytest.approx(0, abs=5 / len(there) ** 0.5)
    assert float(there.square().mean()) == pytest.approx(1, abs=5 * ((kurtosis - 1) / len(there)) ** 0.5)
    assert float(there.pow(4).mean()) == pytest.approx(kurtosis, rel=0.06)


def test_laplace_causes_have_the_distribution_of_scipy():
    from scipy import stats

    causes = draw_causes("laplace", 1.0, (20_000, 1), stream(2)).double().flatten().numpy()
    assert stats.kstest(causes, stats.laplace(scale=math.sqrt(0.5)).cdf).pvalue > 1e-3


def test_poisson_causes_are_counts_whose_mean_and_variance_are_the_rate():
    causes = draw_causes("poisson", 0.3, (N, 4), stream(3)).double()
    assert torch.equal(causes, causes.round())
    assert float(causes.mean()) == pytest.approx(0.3, abs=5 * (0.3 / causes.numel()) ** 0.5)
    assert float(causes.var()) == pytest.approx(0.3, rel=0.02)


@pytest.mark.parametrize("kind", ["poisson", "gaussian", "laplace"])
@pytest.mark.parametrize("dictionary", ["random", "gabor"])
def test_images_are_sums_of_elements_of_one_norm_under_noise(kind, dictionary, registry):
    splits = made(registry, "sparse_synthetic", causes=kind, dictionary=dictionary, elements=20, side=6, noise=0.5, amplitude=3, train=5000)
    assert splits.dictionary.shape == (36, 20)
    assert torch.allclose(splits.dictionary.norm(dim=0), torch.tensor(3.0))
    for _, split in splits.items():
        noise = split.images.flatten(1) - split.causes @ splits.dictionary.T
        assert float(noise.std()) == pytest.approx(0.5, rel=0.02)
        assert float(noise.mean()) == pytest.approx(0, abs=0.01)


def test_gabor_elements_have_the_frequencies_that_are_stated():
    """The spectrum of an element on a large grid peaks where its frequency is."""
    elements = gabor_elements(200, 64, stream(4)).reshape(200, 64, 64)
    frequencies = torch.fft.fftfreq(64)
    radius = torch.hypot(frequencies[:, None], frequencies[None, :])
    peaks = torch.stack([radius.flatten()[torch.fft.fft2(element).abs().argmax()] for element in elements])
    assert 0.05 < float(peaks.min()) < float(peaks.max()) < 0.34
    assert float(peaks.log2().std()) == pytest.approx(math.log2(3) / 12**0.5, rel=0.15)


@pytest.mark.parametrize("name", ["bars", "sparse_synthetic"])
def test_splits_differ_and_the_seed_of_the_data_decides_them(name, registry):
    one, again, other = (made(registry, name, train=300, validation=300, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.train.images, again.train.images)
    assert not torch.equal(one.train.causes, other.train.causes)
    assert not torch.equal(one.train.causes, one.validation.causes)


def test_a_cause_that_is_not_a_count_is_there_with_a_probability(registry):
    model = registry.dataset("sparse_synthetic").options_model
    assert model(causes="poisson", rate=2).rate == 2
    with pytest.raises(ValueError, match="a probability, 1 at most"):
        model(causes="laplace", rate=2)


def test_a_share_of_the_data_keeps_causes_beside_their_images(registry):
    splits = made(registry, "sparse_synthetic", noise=0, train=1000)
    tenth = splits.limited(0.1)
    assert len(tenth.train.causes) == len(tenth.train.images) == 100
    assert torch.allclose(tenth.train.images.flatten(1), tenth.train.causes @ tenth.dictionary.T, atol=1e-4)
    moved = tenth.train.to("cpu", torch.float64)
    assert (moved.images.dtype, moved.causes.dtype) == (torch.float64, torch.float32)

"""What every data set promises, and those that need no download."""

import numpy as np
import pytest
import torch
from latentbench_datasets import PhotoPatches, patches
from latentbench_datasets.photo_patches import COLUMNS, ROWS
from scipy.signal import convolve2d

from latentbench.data.cache import cache_folder
from latentbench.registry import load_registry

PARTS = sorted(load_registry().parts["datasets"].items())
NAMES = [pytest.param(name, marks=pytest.mark.slow) if part.files else name for name, part in PARTS]


@pytest.mark.parametrize("name", NAMES)
def test_every_data_set_keeps_its_word(name, registry):
    part = registry.dataset(name)
    if any(source.find(cache_folder()) is None for source in part.files):
        pytest.skip("needs the real data: set LATENTBENCH_DATA to a folder that has them")
    splits = part().load(cache_folder())
    again = part().load(cache_folder())
    for (split, data), (_, same) in zip(splits.items(), again.items(), strict=True):
        assert data.images.shape[1:] == part.data_shape, split
        assert data.images.dtype == torch.float32
        assert torch.isfinite(data.images).all()
        assert torch.equal(data.images, same.images)
        assert (data.labels is not None) == part.labelled
        if part.pixels == "binary":
            assert set(data.images.unique().tolist()) == {0.0, 1.0}
        if part.pixels == "unit":
            assert 0 <= float(data.images.min()) <= float(data.images.max()) <= 1
    assert part().sources()
    assert all(len(digest) in (32, 64) for digest in part().sources().values())  # published md5, or our sha256


def test_digits_are_scikit_learn_s(registry):
    from sklearn.datasets import load_digits

    splits = registry.dataset("digits")().load(cache_folder())
    ours = torch.cat([splits.train.images, splits.validation.images]).flatten(1) * 16
    labels = torch.cat([splits.train.labels, splits.validation.labels])
    theirs = load_digits()
    assert len(ours) == 1797
    key = np.lexsort(np.c_[ours.numpy(), labels.numpy()].T)
    other = np.lexsort(np.c_[theirs.data, theirs.target].T)
    assert np.array_equal(ours.numpy()[key], theirs.data[other])
    assert np.array_equal(labels.numpy()[key], theirs.target[other])


def test_photo_patches_are_many_and_normalised(registry):
    splits = registry.dataset("photo_patches")().load(cache_folder())
    assert len(splits.train.images) >= 8000
    assert len(splits.validation.images) >= 2000
    assert 170 < float(splits.train.images.square().sum((1, 2, 3)).mean()) < 220


def test_validation_patches_come_from_regions_that_training_never_touches(monkeypatch):
    """Numbered pixels instead of photographs: no number may be in a training and in a validation tile."""
    import latentbench_datasets.photo_patches as module

    numbered = torch.arange(427.0 * 640).reshape(427, 640)
    seen = {}
    monkeypatch.setattr(module, "read_grey", lambda path: numbered)
    monkeypatch.setattr(module, "prepare", lambda tiles, crop: tiles)
    tiles = PhotoPatches()._prepare()
    seen = {split: set(value.unique().tolist()) for split, value in tiles.items()}
    assert not seen["train"] & seen["validation"]
    assert len(tiles["validation"]) / (len(tiles["train"]) + len(tiles["validation"])) == pytest.approx(1 / COLUMNS)
    assert ROWS * COLUMNS == 20


def test_the_whitening_filter_is_the_one_of_the_paper_s_data():
    """Gains that the authors' code has: .013 at zero frequency, .117 at a quarter cycle a pixel along an axis, nearly 0 in the corner."""
    gain = patches.whitening_filter(1024)
    assert float(gain[0, 0]) == pytest.approx(0.01295, abs=1e-4)
    assert float(gain[256, 0]) == pytest.approx(0.117, abs=1e-3)
    assert float(gain[512, 0]) == pytest.approx(0.184, abs=1e-3)
    assert float(gain[512, 512]) < 1e-3


def test_contrast_normalisation_is_a_local_z_score():
    """Against scipy's convolution, pixel by pixel."""
    tile = np.random.default_rng(1).normal(size=(24, 24))
    axis = np.linspace(-1, 1, 13)
    window = np.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / 0.5)
    window /= window.sum()
    centred = tile - convolve2d(tile, window, mode="same")
    deviation = np.sqrt(convolve2d(centred**2, window, mode="same"))
    expected = centred / np.maximum(deviation, deviation.mean())
    assert np.allclose(patches.normalise_contrast(torch.from_numpy(tile)[None])[0].numpy(), expected)


def test_limited_splits_are_spread_evenly(registry):
    train = registry.dataset("digits")().load(cache_folder()).train
    tenth = train.limited(0.1)
    assert len(tenth.images) == round(0.1 * len(train.images))
    assert torch.equal(tenth.images[-1], train.images[-1])
    assert len(train.limited(1e-9).images) == 1

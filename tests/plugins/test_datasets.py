"""What every data set promises, and those that need no download."""

import numpy as np
import pandas as pd
import pytest
import torch
from latentbench_datasets import PhotoPatches, patches
from latentbench_datasets.photo_patches import COLUMNS, CROP, ROWS, scikit_learn_file
from PIL import Image
from scipy.signal import convolve2d

from latentbench.data import overlap
from latentbench.data.dataset import load
from latentbench.files import cache_folder
from latentbench.registry import load_registry
from tests.kit import numbers

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
    assert part().sources() or part.has_truth  # which is made by a program
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
    monkeypatch.setattr(module, "read_photograph", lambda path, colour: numbered[None])
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


SHAPES = """\
name: shapes
seeds: [1]
evaluations: {evaluations}
defaults: {{estimator: mc, encoder: linear, decoder: linear, latent_dim: 4, limit_data: 0.05, training: {{steps: 3, batch_size: 16}}}}
sweeps:
  - {sweep}
"""
OPTIONS = [
    ("digits", {"flat": True}, (64,), "unit"),
    ("digits", {"scale": "count"}, (1, 8, 8), "count"),
    ("digits", {"flat": True, "scale": "count"}, (64,), "count"),
    ("digits_binary", {"flat": True}, (64,), "binary"),
    ("photo_patches", {"colour": True}, (3, 16, 16), "real"),
    ("photo_patches_binary", {"colour": True}, (3, 16, 16), "binary"),
]


@pytest.fixture
def made(registry):
    """A data set of some options."""

    def make(name, **options):
        part = registry.dataset(name)
        return part(part.options_model(**options))

    return make


@pytest.mark.parametrize(("name", "options", "shape", "pixels"), OPTIONS)
def test_options_change_shape_and_kind_of_number(name, options, shape, pixels, made):
    """`load` holds the images against both."""
    dataset, plain = made(name, **options), made(name)
    assert (dataset.data_shape, dataset.pixels) == (shape, pixels)
    assert (plain.data_shape[0], plain.pixels) == (1, type(plain).pixels)  # another instance's options are its own
    splits, again = (load(dataset, cache_folder()) for _ in range(2))
    assert torch.equal(splits.train.images, again.train.images)
    assert splits.train.images.shape[1:] == shape


def test_a_neutral_option_is_the_run_that_was_stored_before_the_option_existed(make_run):
    plain = make_run().run.id
    assert make_run(dataset_options__flat=False, dataset_options__scale="unit").run.id == plain
    assert len({plain, make_run(dataset_options__flat=True).run.id, make_run(dataset_options__scale="count", likelihood="poisson").run.id}) == 3


@pytest.mark.parametrize("name", ["digits", "photo_patches"])
def test_a_test_split_is_a_part_of_what_was_for_validation(name, made):
    """Training is as without it; every image that was held out is in one of the two."""
    whole, parted = (made(name, **options).load(cache_folder()) for options in ({}, {"with_test": True}))
    assert torch.equal(parted.train.images, whole.train.images)
    assert min(len(parted.validation.images), len(parted.test.images)) > 100
    held_out = torch.cat([parted.validation.images, parted.test.images]).flatten(1)
    assert torch.equal(*(images[torch.from_numpy(np.lexsort(images.T.numpy()))] for images in (held_out, whole.validation.images.flatten(1))))


def test_flat_digits_and_counts_are_the_same_digits(made):
    images, vectors, counts = (made("digits", **options).load(cache_folder()).train for options in ({}, {"flat": True}, {"scale": "count"}))
    assert torch.equal(vectors.images, images.images.flatten(1))
    assert torch.equal(counts.images, 16 * images.images)
    assert torch.equal(vectors.labels, images.labels)


def test_a_colour_patch_has_each_channel_prepared_as_a_grey_tile(made):
    """The first tile of the first photograph, whose region is for training, out of the file itself."""
    with Image.open(scikit_learn_file("images", "china.jpg")) as image:
        tile = torch.from_numpy(np.asarray(image, dtype=np.float64)[:24, :24]).movedim(2, 0)  # [3, 24, 24]
    expected = torch.stack([patches.prepare(channel[None], CROP)[0, 0] for channel in tile])
    tiles = made("photo_patches", colour=True)._prepare()["train"]
    distance = (tiles - expected).abs().amax((1, 2, 3))
    assert float(tile.flatten(1).std(1).min()) > 0
    assert float(distance.min()) < 1e-5
    assert int(distance.argmin()) == 0


def test_prepared_patches_are_named_by_the_options_that_are_not_neutral(made):
    grey, said, colour = made("photo_patches"), made("photo_patches", colour=False), made("photo_patches", colour=True)
    assert patches.recipe_key(grey) == patches.recipe_key(said)
    assert patches.recipe_key(colour) == f"{patches.recipe_key(grey)}-colour=True"
    assert grey.chosen_options == {}
    assert colour.chosen_options == {"colour": True}
    assert overlap._key(grey) == overlap._key(said) != overlap._key(colour)


def test_counts_without_a_likelihood_of_counts_are_one_message(cli, suite_file):
    suite = suite_file(SHAPES.format(evaluations="[elbo]", sweep="{family: poisson, dataset: digits, dataset_options: {scale: count}}"))
    answer = cli("plan", suite)
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1
    assert (
        "dataset 'digits' does not apply: its default likelihood 'gaussian' is not for counts; with scale: count give `likelihood: po" in answer.err
    )


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ("digits", "{scale: bytes}", "dataset_options.scale"),
        ("digits", "{flat: 1}", "dataset_options.flat"),
        ("photo_patches", "{colour: red}", "dataset_options.colour"),
        ("photo_patches", "{color: true}", "unknown option 'dataset_options.color' (did you mean 'colour'?); known: amplitude, causes, colour, "),
    ],
)
def test_a_bad_option_is_one_message(dataset, options, message, cli, suite_file):
    answer = cli(
        "plan", suite_file(SHAPES.format(evaluations="[elbo]", sweep=f"{{family: poisson, dataset: {dataset}, dataset_options: {options}}}"))
    )
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1
    assert message in answer.err


PICTURES = {"samples", "reconstructions", "dictionary"}
LABELS = {"linear_probe"}
TRAINED = {
    "faces": ("dataset: test_faces", LABELS | PICTURES | {"gabor_fit", "inference_swap"}, (64, 64)),
    "faces-conv": ("dataset: test_faces, encoder: conv, decoder: conv", LABELS | PICTURES - {"dictionary"}, (64, 64)),
    "colour": ("dataset: photo_patches, dataset_options: {colour: true}", PICTURES | {"inference_swap"}, (16, 16, 3)),
    "colour-conv": (
        "dataset: photo_patches, dataset_options: {colour: true}, encoder: conv, decoder: conv, likelihood_options: {variance: decoded}",
        PICTURES - {"dictionary"},
        (16, 16, 3),
    ),
    "vectors": ("dataset: digits, dataset_options: {flat: true}", LABELS | {"inference_swap"}, None),
    "vectors-mlp": ("dataset: digits, dataset_options: {flat: true}, encoder: mlp, decoder: mlp", LABELS, None),
    "counts": ("dataset: digits, dataset_options: {scale: count}, likelihood: poisson", LABELS | PICTURES | {"gabor_fit"}, (8, 8)),
    "counts-vectors": ("dataset: digits, dataset_options: {flat: true, scale: count}, likelihood: negative_binomial", LABELS, None),
}


@pytest.mark.parametrize("case", TRAINED)
def test_items_of_every_shape_are_trained_and_measured_from_the_command_line(case, cli, suite_file, tmp_path):
    """With all evaluations that apply, the same numbers the second time, and pictures whose sides are multiples of the items that they show."""
    settings, measured, side = TRAINED[case]
    evaluations = sorted({"elbo", "sparsity", "spike_counts", "active_units", *LABELS, *PICTURES, "gabor_fit", "inference_swap"})
    suite = suite_file(SHAPES.format(evaluations=evaluations, sweep=f"{{family: poisson, {settings}}}"))
    for results in ("one", "other"):
        answer = cli("run", suite, "--results", tmp_path / results, "--engine", "test_inline")
        assert answer.code == 0, answer.out + answer.err
    stored = pd.read_parquet(tmp_path / "one" / "metrics")
    assert set(stored["evaluation"]) == {"elbo", "sparsity", "spike_counts", "active_units", *measured}
    assert np.isfinite(stored["value"]).all()
    assert all(a.equals(b) for a, b in zip(numbers(tmp_path / "one"), numbers(tmp_path / "other"), strict=True))
    shown = {path.name.split("-")[0]: np.asarray(Image.open(path)) for path in (tmp_path / "one" / "pictures").glob("*/*.png")}
    assert set(shown) == measured & PICTURES
    for picture in shown.values():
        height, width, *channels = side
        assert picture.dtype == np.uint8
        assert list(picture.shape[2:]) == channels
        assert (picture.shape[0] % (3 * (height + 1)), picture.shape[1] % (3 * (width + 1))) == (
            0,
            0,
        )  # a line between images, and three times as large

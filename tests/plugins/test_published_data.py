"""Loaders of published files: made files in the same formats here, the real ones where LATENTBENCH_DATA has them."""

import gzip
import io
import os
import pickle
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from latentbench_datasets import cifar, mnist, van_hateren
from latentbench_datasets.patches import last_fifths, prepare, whitening_filter
from PIL import Image
from scipy import ndimage

from latentbench.errors import UserError
from latentbench.files import cache_folder
from latentbench.streams import stream

real = pytest.mark.skipif(not os.environ.get("LATENTBENCH_DATA"), reason="needs the real data: set LATENTBENCH_DATA")


def idx(array, magic):
    return struct.pack(">I", magic) + b"".join(struct.pack(">I", n) for n in array.shape) + array.tobytes()


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (3, 28, 28), dtype=np.uint8)


def test_idx_files_are_read_gzipped_or_not(tmp_path, images):
    raw = idx(images, mnist.IMAGES)
    (tmp_path / "images.gz").write_bytes(gzip.compress(raw))
    (tmp_path / "images").write_bytes(raw)
    for name in ("images.gz", "images"):
        content = mnist.read_idx(tmp_path / name, mnist.IMAGES)
        assert np.array_equal(mnist.array_of(content).numpy(), images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: gzip.compress(raw)[:-50], "images.gz is damaged, or cut short"),
        (lambda raw: b"no archive", "images.gz is damaged, or cut short"),
        (lambda raw: gzip.compress(raw[:-7]), r"images.gz is cut short or too long: it holds 2361 bytes, and its header says 2368"),
        (lambda raw: gzip.compress(b"\0\0\x08\x01" + raw[4:]), "its magic number is 0x00000801, expected 0x00000803"),
        (lambda raw: gzip.compress(b""), "is cut short, or no idx file: it holds 0 bytes, and its header alone has 16"),
        (lambda raw: gzip.compress(raw[:6]), "is cut short, or no idx file: it holds 6 bytes, and its header alone has 16"),
    ],
)
def test_damaged_idx_files_are_named(tmp_path, images, change, message):
    (tmp_path / "images.gz").write_bytes(change(idx(images, mnist.IMAGES)))
    with pytest.raises(UserError, match=message):
        mnist.read_idx(tmp_path / "images.gz", mnist.IMAGES)


def rows(n=3):
    rng = np.random.default_rng(2)
    return rng.integers(0, 10, n, dtype=np.uint8), rng.integers(0, 256, (n, 3072), dtype=np.uint8)


def test_both_versions_of_cifar_have_one_content(tmp_path):
    labels, data = rows()
    (tmp_path / "b.bin").write_bytes(np.concatenate([labels[:, None], data], axis=1).tobytes())
    (tmp_path / "b").write_bytes(pickle.dumps({b"labels": labels.tolist(), b"data": data}, protocol=2))
    assert cifar.read_python(tmp_path / "b") == cifar.read_binary(tmp_path / "b.bin")


def test_cifar_s_python_version_cannot_run_code(tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    (tmp_path / "b").write_bytes(pickle.dumps({b"labels": Harmful(), b"data": rows()[1]}, protocol=2))
    with pytest.raises(UserError, match="and only arrays are read"):
        cifar.read_python(tmp_path / "b")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", pickle.dumps([1, 2])])
def test_damaged_files_of_cifar_are_named(tmp_path, content):
    (tmp_path / "b").write_bytes(content)
    for read in (cifar.read_python, cifar.read_binary):
        with pytest.raises(UserError, match=r"b is (damaged|cut short), or no file of CIFAR-10's"):
            read(tmp_path / "b")


def test_grey_is_not_rounded():
    labels, data = rows(1)
    content = np.concatenate([labels[:, None], data], axis=1).tobytes()
    r, g, b = data.reshape(3, 32, 32).astype(np.float64)
    assert np.allclose(cifar.grey_images(content)[0].numpy(), 0.2989 * r + 0.587 * g + 0.114 * b)


def test_crops_are_of_their_image_with_corners_uniform_on_0_to_12():
    """Over 40,000 crops each corner's frequency is within five standard errors (fails with probability 1e-5)."""
    pixels = torch.arange(32 * 32.0).view(1, 32, 32)
    crops = cifar.random_crops(pixels.expand(10_000, -1, -1), stream(1))
    assert crops.shape == (40_000, 20, 20)
    corner = crops[:, 0, 0].long()
    rebuilt = corner[:, None, None] + torch.arange(20)[:, None] * 32 + torch.arange(20)
    assert torch.equal(crops.long(), rebuilt)
    for coordinate in (corner // 32, corner % 32):
        shares = torch.bincount(coordinate, minlength=13) / 40_000
        assert len(shares) == 13
        assert float((shares - 1 / 13).abs().max()) < 5 * (1 / 13 * 12 / 13 / 40_000) ** 0.5


def test_iterative_preparation_scales_all_patches_at_once_and_takes_the_last_fifth_of_ten_blocks():
    patches = 5 + 3 * torch.arange(1004, dtype=torch.float32)[:, None].repeat(1, 2)
    made = last_fifths(patches)
    both = torch.cat([made["train"], made["validation"]]).double()
    assert float(both.mean()) == pytest.approx(0, abs=1e-6)
    assert float(both.std(correction=0)) == pytest.approx(1, rel=1e-6)
    order = both[:, 0].argsort().argsort()
    kept, left = order[: len(made["train"])], order[len(made["train"]) :]
    # Nine blocks of 100 give 20 each, and the last, of 104, gives 21.
    assert left.tolist() == [
        i for block in range(10) for i in range(100 * block + (83 if block == 9 else 80), 100 * block + (104 if block == 9 else 100))
    ]
    assert kept.tolist() == [i for i in range(1004) if i not in set(left.tolist())]


def test_preparation_is_an_option_that_leaves_stored_ids_alone(registry):
    plain, iterative = (
        registry.dataset("van_hateren")(registry.dataset("van_hateren").options_model(**given)) for given in ({}, {"preparation": "iterative"})
    )
    assert plain.chosen_options == {}
    assert iterative.chosen_options == {"preparation": "iterative"}


def test_both_forms_of_a_van_hateren_image_have_one_content(tmp_path):
    full = np.random.default_rng(3).integers(0, 2**16, (1024, 1536)).astype(">u2")
    (tmp_path / "i.iml").write_bytes(full.tobytes())
    Image.fromarray(full[128:896, 256:1280].astype(np.uint16)).save(tmp_path / "i.png")
    assert van_hateren.read_iml(tmp_path / "i.iml") == van_hateren.read_png(tmp_path / "i.png")


def test_tiles_lie_row_by_row():
    pixels = np.arange(768 * 1024, dtype=np.uint32) % 65536
    tiles = van_hateren.tiles_of(pixels.astype(">u2").tobytes())
    assert tiles.shape == (1344, 24, 24)
    grid = pixels.reshape(768, 1024)
    assert np.array_equal(tiles[1].numpy(), grid[:24, 24:48])
    assert np.array_equal(tiles[42].numpy(), grid[24:48, :24])


def png(array, mode=None):
    buffer = io.BytesIO()
    Image.fromarray(array, mode).save(buffer, "PNG")
    return buffer.getvalue()


def with_header(header):
    """A PNG that ends where its pixels would begin."""
    chunks = ((b"IHDR", header), (b"IDAT", b""))
    parts = (struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(np.zeros((768, 1024, 3), np.uint8)), "mode RGB with 1024x768 pixels; expected 16-bit grey with 1024x768"),
        (png(np.zeros((768, 1024), np.uint8)), "mode L with 1024x768"),
        (png(np.zeros((100, 100), np.uint16)), "with 100x100 pixels; expected 16-bit grey with 1024x768"),
        (png(np.random.default_rng(1).integers(0, 65536, (768, 1024), dtype=np.uint16))[:5000], "is damaged, or no PNG"),
        (b"nothing", "is damaged, or no PNG"),
        (with_header(struct.pack(">II5B", 100_000, 100_000, 16, 0, 0, 0, 0)), "is damaged, or no PNG: Image size"),
        (with_header(struct.pack(">II", 1024, 768)), "is damaged, or no PNG: Truncated IHDR"),
    ],
)
def test_wrong_pictures_are_named(tmp_path, content, message):
    (tmp_path / "i.png").write_bytes(content)
    with pytest.raises(UserError, match=message):
        van_hateren.read_png(tmp_path / "i.png")


def test_a_cut_iml_file_is_named(tmp_path):
    (tmp_path / "i.iml").write_bytes(bytes(1000))
    with pytest.raises(UserError, match=r"i\.iml is cut short, or no \.iml file: 1000 bytes, expected 3145728"):
        van_hateren.read_iml(tmp_path / "i.iml")


def test_the_textbook_filter_is_zero_at_zero_frequency():
    """f exp(-(f / f0)^4) at numpy's own frequencies."""
    f = np.hypot(np.fft.fftfreq(24)[:, None], np.fft.fftfreq(24)[None, :])
    assert np.allclose(whitening_filter(24, centred=True).numpy(), f * np.exp(-((f / 0.5) ** 4)))


def test_patches_do_not_depend_on_their_neighbours_or_on_chunks():
    tiles = torch.rand(7, 24, 24, dtype=torch.float64, generator=stream(4))
    whole = prepare(tiles, 4)
    assert torch.allclose(prepare(tiles, 4, chunk=2), whole, atol=1e-6)
    assert torch.allclose(prepare(tiles[3:4], 4), whole[3:4], atol=1e-6)


def optimum(train, validation):
    """The least NELBO of a Gaussian VAE with a linear decoder, probabilistic PCA with noise variance 1/2 (closed form), in nats an image."""
    x, v = train.flatten(1).double(), validation.flatten(1).double()
    eigenvalues, vectors = torch.linalg.eigh(x.T @ x / len(x))
    c = eigenvalues.clamp(min=0.5)
    spread = torch.einsum("mi,mn,ni->i", vectors, v.T @ v / len(v), vectors)
    return 0.5 * float((spread / c + torch.log(2 * c)).sum())


@real
@pytest.mark.slow
@pytest.mark.parametrize(("name", "counts", "expected"), [("van_hateren", (107_520, 28_224), 154.37), ("cifar16", (200_000, 40_000), 149.2)])
def test_real_patches_have_the_optimum_of_the_authors_models(name, counts, expected, registry):
    splits = registry.dataset(name)().load(cache_folder())
    assert (len(splits.train.images), len(splits.validation.images)) == counts
    assert splits.train.images.shape[1:] == (1, 16, 16)
    assert torch.isfinite(splits.train.images).all()
    assert optimum(splits.train.images, splits.validation.images) == pytest.approx(expected, abs=0.1)
    assert not shared_images(splits.train.images, splits.validation.images)


def processed(tile):
    """A tile by numpy and scipy, as details of the paper's preparation say: filter, contrast with a 13x13 Gaussian window, z-score."""
    axis = np.linspace(-0.5, 0.5, len(tile))
    f = np.sqrt(axis[:, None] ** 2 + axis[None, :] ** 2)
    white = np.fft.ifft2(np.fft.fft2(tile) * f * np.exp(-((f / 0.5) ** 4))).real
    x, y = np.meshgrid(np.linspace(-1, 1, 13), np.linspace(-1, 1, 13))
    window = np.exp(-(x**2 + y**2) / 0.5)
    centred = white - ndimage.correlate(white, window / window.sum(), mode="constant")
    deviation = np.sqrt(ndimage.correlate(centred**2, window / window.sum(), mode="constant"))
    contrast = centred / np.maximum(deviation, deviation.mean())
    return (contrast - contrast.mean()) / contrast.std(ddof=1)


@real
@pytest.mark.slow
def test_real_patches_have_the_mean_and_deviation_that_scipy_gives_them(registry):
    """Tiles of the first and the last image; and of all patches the mean energy that the authors' file has, 195."""
    dataset = registry.dataset("van_hateren")()
    splits = dataset.load(cache_folder())
    for image, patches in ((0, splits.train.images[:1344]), (100, splits.validation.images[-1344:])):
        pixels = np.frombuffer(dataset.files[image].read(cache_folder()), ">u2").reshape(768, 1024).astype(float)
        tiles = pixels[:, :1008].reshape(32, 24, 42, 24).swapaxes(1, 2).reshape(-1, 24, 24)
        expected = np.stack([processed(tile) for tile in tiles])[:, 4:-4, 4:-4]
        assert np.allclose(patches[:, 0].numpy(), expected, atol=1e-4)
        assert (float(patches.mean()), float(patches.std())) == pytest.approx((expected.mean(), expected.std()), abs=1e-4)
    energy = torch.cat([splits.train.images, splits.validation.images]).double().square().sum((1, 2, 3)).mean()
    assert float(energy) == pytest.approx(195, abs=0.5)


@real
def test_real_cifar_has_the_published_channel_means(registry):
    dataset = registry.dataset("cifar16")()
    contents = [np.frombuffer(source.read(cache_folder()), np.uint8).reshape(-1, 3073) for source in dataset.files]
    assert [len(content) for content in contents] == [10_000] * 6
    means = np.concatenate(contents[:5])[:, 1:].reshape(-1, 3, 1024).mean((0, 2)) / 255
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-5)


@real
@pytest.mark.slow
def test_real_patches_are_prepared_in_little_memory_and_tell_of_progress(tmp_path):
    """Anew, in a process of its own: under 4 GiB, and lines in the log for every quarter."""
    code = (
        "import re; from latentbench.__main__ import main\ntry: main()\n"
        "finally: print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"  # of this program, not of what forked it
    )
    environment = {**os.environ, "LATENTBENCH_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", code, "data", "fetch", "van_hateren"]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert out.count("preparing van_hateren: ") >= 4
    assert int(out.splitlines()[-1]) < 4 * 2**20  # kilobytes


@real
@pytest.mark.slow
def test_the_textbook_filter_gives_other_patches(registry):
    splits = registry.dataset("van_hateren_centred")().load(cache_folder())
    assert abs(optimum(splits.train.images, splits.validation.images) - 154.37) > 10


@real
def test_real_mnist_is_whole(registry):
    splits = registry.dataset("mnist")().load(cache_folder())
    assert len(splits.train.images) == 60_000
    assert len(splits.validation.images) == 10_000
    assert float(splits.train.images.mean()) == pytest.approx(0.1307, abs=5e-5)
    assert float(splits.train.images.std()) == pytest.approx(0.3081, abs=5e-5)
    assert splits.train.labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert not shared_images(splits.train.images, splits.validation.images)


def shared_images(train, validation):
    """Images that are in both splits, byte for byte."""
    known = {image.tobytes() for image in train.numpy()}
    return [image for image in validation.numpy() if image.tobytes() in known]

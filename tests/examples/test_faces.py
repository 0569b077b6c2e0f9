"""`latentbench-faces` with a made file of the published format: images, splits, what is said of a damaged file, and the package installed."""

import hashlib
import io
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from latentbench_faces import Faces, FacesOptions, photographs
from scipy.io import savemat

from latentbench.errors import UserError

PIXELS = np.random.default_rng(1).integers(3, 250, (4096, 400), dtype=np.uint8)
PUBLISHED = Faces.files[0].digest


def mat(**arrays):
    content = io.BytesIO()
    savemat(content, arrays)
    return content.getvalue()


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A folder LATENTBENCH_DATA with a made file; its hash stands in for the published one."""
    content = mat(faces=PIXELS)
    path = tmp_path / "data" / "faces" / "olivettifaces.mat"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    monkeypatch.setenv("LATENTBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(Faces, "files", [replace(Faces.files[0], sha256=hashlib.sha256(content).hexdigest())])
    return path


def test_images_are_those_of_scikit_learn():
    """As `fetch_olivetti_faces` makes them of the same file."""
    faces = np.float32(PIXELS.T)
    faces = faces - faces.min()
    faces /= faces.max()
    expected = faces.reshape((400, 64, 64)).transpose(0, 2, 1)
    assert np.array_equal(photographs(mat(faces=PIXELS)).numpy(), expected)


def test_the_file_is_the_one_that_scikit_learn_fetches():
    from sklearn.datasets._olivetti_faces import FACES

    (source,) = Faces.files
    assert (source.url, source.digest) == (FACES.url, FACES.checksum)


@pytest.mark.parametrize("side", [64, 32, 16])
def test_smaller_images_are_averages(made, tmp_path, side):
    dataset = Faces(FacesOptions(side=side))
    images = dataset.load(tmp_path).train.images
    assert images.shape[1:] == dataset.data_shape == (1, side, side)
    whole, block = photographs(mat(faces=PIXELS))[0], 64 // side
    assert float(images[0, 0, 1, 2]) == pytest.approx(float(whole[block : 2 * block, 2 * block : 3 * block].mean()), rel=1e-5)


@pytest.mark.parametrize(("held_out", "people"), [("pictures", 40), ("people", 32)])
def test_splits_hold_every_picture_once(made, tmp_path, held_out, people):
    splits = Faces(FacesOptions(side=16, held_out=held_out)).load(tmp_path)
    assert (len(splits.train.images), len(splits.validation.images)) == (320, 80)
    assert len(torch.unique(torch.cat([split.images for _, split in splits.items()]).flatten(1), dim=0)) == 400
    assert len(splits.train.labels.unique()) == people
    overlap = set(splits.train.labels.tolist()) & set(splits.validation.labels.tolist())
    assert len(overlap) == (40 if held_out == "pictures" else 0)


@pytest.mark.parametrize(
    ("content", "message"), [(b"no matlab", "damaged"), (mat(other=PIXELS), "damaged"), (mat(faces=PIXELS[:9]), r"shape \(9, 400\)")]
)
def test_another_file_is_refused(content, message):
    with pytest.raises(UserError, match=message):
        photographs(content)


def test_a_file_that_is_not_the_published_one_is_named(made, tmp_path):
    made.write_bytes(b"other")
    with pytest.raises(UserError, match=re.escape(str(made)) + ".*not the published file: the sha256"):
        Faces().load(tmp_path)


@pytest.mark.slow
def test_the_package_runs_beside_a_built_in(made, installed, leaderboard):
    """The environment takes the made file for the published one."""
    environment = installed("faces")
    environment.variables["LATENTBENCH_DATA"] = str(made.parents[1])
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    module = environment.site / "latentbench_faces.py"
    module.write_text(module.read_text().replace(PUBLISHED, digest))
    board = leaderboard(environment)
    rows = [line.split() for line in board.splitlines() if line.startswith(("faces ", "digits "))]
    assert sorted(row[0] for row in rows) == ["digits", "faces", "faces"]
    assert {row[1] for row in rows} >= {"pictures", "people"}

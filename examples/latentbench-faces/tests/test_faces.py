"""The conformance kit on `faces`, with a made file of the published format; the published one is not in this package."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from latentbench_faces import Faces
from scipy.io import savemat

from latentbench.testing import latentbench_checks


@pytest.fixture(autouse=True)
def _made(tmp_path, monkeypatch):
    """A folder LATENTBENCH_DATA with a file of the published format, whose hash stands in for the published one."""
    path = tmp_path / "faces" / "olivettifaces.mat"
    path.parent.mkdir()
    savemat(path, {"faces": np.random.default_rng(1).integers(0, 256, (4096, 400), dtype=np.uint8)})
    monkeypatch.setenv("LATENTBENCH_DATA", str(tmp_path))
    monkeypatch.setattr(Faces, "files", [replace(Faces.files[0], sha256=hashlib.sha256(path.read_bytes()).hexdigest())])


test_faces = latentbench_checks(Faces)

"""Warnings about images that splits share name the data set as it was chosen."""

import pytest

from latentbench.data import overlap
from latentbench.registry import load_registry


@pytest.mark.parametrize(("options", "title"), [({}, "digits_binary"), ({"flat": True}, "digits_binary(flat=True)")])
def test_a_warning_names_the_options_of_a_data_set(options, title, tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTBENCH_CACHE", str(tmp_path))
    part = load_registry().dataset("digits_binary")
    (line,) = overlap.warnings([part(part.options_model(**options))])
    assert line == f"warning: data set {title}: 10 of 360 validation images are among the training images too"

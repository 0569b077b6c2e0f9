"""The effective width of stored runs: closed forms at their relaxation and last temperature."""

import json
import math

import pytest

from latentbench.errors import UserError
from latentbench.results.store import Store
from tests.derived_kit import add, by, derived


def test_every_run_has_the_width_of_its_relaxation_at_its_last_temperature(tmp_path):
    store = Store(tmp_path / "r")
    for name, options, temperature in (("a", {}, 0.2), ("b", {"relaxation": "cubic"}, 0.5), ("c", {"relaxation": "gumbel_softmax"}, 0.1)):
        add(store, name, {"nelbo": 1.0}, training={"temperature_stop": temperature}, family_options=json.dumps(options))
    add(store, "d", {"nelbo": 1.0}, family="gaussian")
    add(store, "e", {"nelbo": 1.0}, estimator="rloo", training={})
    expected = {"a": 0.2 / (1 + math.exp(-5)), "b": 9 * 0.5 / 35, "c": 0.1}
    assert by(derived(store, "effective_width"), "run_id") == pytest.approx(expected)


def test_without_runs_of_poisson_there_is_none(tmp_path):
    store = Store(tmp_path / "r")
    add(store, "d", {"nelbo": 1.0}, family="gaussian")
    with pytest.raises(UserError, match="no result has what 'effective_width' is computed from"):
        derived(store, "effective_width")

"""What figures are drawn from: points that are means over seeds and nothing else, and what is said of the rest."""

import numpy as np
import pytest
import torch
from scipy import stats

from latentbench.errors import UserError
from latentbench.execution.compaction import compact
from latentbench.reporting import Canvas, Usual
from latentbench.reporting.folder import Folder
from latentbench.results.asked import Asked
from latentbench.results.tensors import read_arrays, tensors_to_bytes
from tests.made_rows import Rows


@pytest.fixture
def rows(tmp_path):
    return Rows(tmp_path / "r")


def cost(value):
    return {"elbo": {"nelbo": value}}


def test_a_point_is_the_mean_over_seeds_with_its_t_interval(rows):
    for seed, value in enumerate((1.0, 2.0, 4.0)):
        rows.run(seed=seed, metrics=cost(value))
    (point,) = Canvas([rows.path]).points("nelbo", ("family",))
    assert point["family"] == "poisson"
    assert (point.n, point.mean) == (3, pytest.approx(7 / 3))
    assert point.interval == pytest.approx(stats.t.ppf(0.995, 2) * np.std([1, 2, 4], ddof=1) / 3**0.5)


def test_points_are_in_the_order_of_numbers(rows):
    for beta in (10.0, 2.0, 0.5):
        rows.run(beta=beta, metrics=cost(beta))
    assert [point["beta"] for point in Canvas([rows.path]).points("nelbo", ("beta",))] == ["0.5", "2", "10"]


def test_a_mean_over_settings_that_vary_is_refused_with_what_helps(rows):
    for stop in (0.05, 0.5):
        rows.run(training={"temperature_stop": stop}, metrics=cost(1.0))
    with pytest.raises(UserError, match=r"training.temperature_stop: 0.05, 0.5.*--only training.temperature_stop=.*--suite"):
        Canvas([rows.path]).points("nelbo", ("family",))


def test_usual_runs_are_taken_where_there_are_others_and_that_is_said(rows):
    for stop in (0.05, 0.5):
        rows.run(training={"temperature_stop": stop}, metrics=cost(stop))
    canvas, usual = Canvas([rows.path]), Usual({"family": "poisson"}, {"training.temperature_stop": 0.05})
    assert canvas.points("nelbo", ("family",), usual=[usual])[0].mean == 0.05
    assert canvas.notes == ["Left out are runs of poisson with training.temperature_stop 0.5."]


def test_runs_that_are_all_unusual_are_not_left_out(rows):
    rows.run(training={"temperature_stop": 0.5}, metrics=cost(1.0))
    canvas, usual = Canvas([rows.path]), Usual({"family": "poisson"}, {"training.temperature_stop": 0.05})
    assert canvas.points("nelbo", ("family",), usual=[usual])[0].mean == 1
    assert canvas.notes == []


def test_two_runs_of_one_seed_are_refused(rows, tmp_path):
    other = Rows(tmp_path / "other")
    rows.run(metrics=cost(1.0), host="a")
    other.run(metrics=cost(1.0), host="b")
    with pytest.raises(UserError, match="have the seed 1"):
        Canvas([rows.path, other.path]).points("nelbo", ("family",))


def test_a_run_that_two_folders_have_counts_once(rows, tmp_path):
    other = Rows(tmp_path / "other")
    for each in (rows, other):
        each.run(metrics=cost(1.0))
    other.run(seed=2, metrics=cost(3.0))
    (point,) = Canvas([rows.path, other.path]).points("nelbo", ("family",))
    assert (point.n, point.mean) == (2, 2)


def test_failed_missing_and_infinite_seeds_are_told_apart_and_said(rows):
    for family in ("poisson", "gaussian", "laplace"):
        for seed in (1, 2, 3):
            rows.run(family=family, seed=seed, metrics=cost(1.0)) if (family, seed) not in {("gaussian", 1), ("laplace", 2), ("laplace", 3)} else None
    rows.run(family="gaussian", seed=1, status="failed")
    rows.run(family="laplace", seed=2, metrics=cost(np.inf))
    rows.run(family="categorical", seed=1, status="failed")
    canvas = Canvas([rows.path])
    points = canvas.points("nelbo", ("family",))
    assert {point["family"]: point.n for point in points} == {"poisson": 3, "gaussian": 2, "laplace": 1}
    assert set(canvas.missing) == {
        "family=gaussian: 1 failed of 3 seeds",
        "family=laplace: 1 failed and 1 not there of 3 seeds",
        "family=categorical: 1 runs failed, and none is done",
    }


def test_failed_runs_of_other_settings_do_not_count(rows):
    rows.run(metrics=cost(1.0))
    rows.run(seed=2, metrics=cost(1.0))
    rows.run(seed=3, status="failed", training={"epochs": 3})
    canvas = Canvas([rows.path])
    assert canvas.points("nelbo", ("family",))[0].failed == 0
    assert canvas.missing == []


def test_curves_over_an_index_miss_a_failed_run_at_every_place_and_say_so_once(rows):
    for seed in (1, 2):
        rows.run(seed=seed, metrics={"swap": {"sse": {0.1: seed * 1.0, 0.5: seed * 2.0}}})
    rows.run(seed=3, status="failed")
    canvas = Canvas([rows.path])
    points = canvas.points("sse", ("family", "index"))
    assert [(point["index"], point.mean, point.failed) for point in points] == [("0.1", 1.5, 1), ("0.5", 3.0, 1)]
    assert canvas.missing == ["family=poisson: 1 failed of 3 seeds"]


def test_published_values_by_seed_come_before_summaries(rows, tmp_path):
    published = Rows(tmp_path / "published")
    rows.run(metrics=cost(1.0))
    published.summary("nelbo", 7.0, 0.5)
    canvas = Canvas([rows.path], [published.path])
    (point,) = canvas.points("nelbo", ("family",), published=True)
    assert (point.mean, point.interval, point.n) == (7.0, 0.5, 1)
    for seed in (1, 2):
        published.run(seed=seed, metrics=cost(float(seed)))
    (point,) = Canvas([rows.path], [published.path]).points("nelbo", ("family",), published=True)
    assert (point.mean, point.n) == (1.5, 2)


def test_only_selects_published_runs_by_what_they_have(rows, tmp_path):
    published = Rows(tmp_path / "published")
    for family in ("poisson", "gaussian"):
        rows.run(family=family, metrics=cost(1.0), dataset_sources=None)
        published.summary("nelbo", 7.0, family=family)
    canvas = Canvas([rows.path], [published.path], only={"family": ["gaussian"], "seed": [1]})
    for which in (False, True):
        assert [point["family"] for point in canvas.points("nelbo", ("family",), published=which)] == ["gaussian"]
    with pytest.raises(UserError, match="no result has it"):
        Canvas([rows.path], only={"family": ["gausian"]}).points("nelbo", ("family",))


def test_a_suite_selects_its_runs_and_those_that_are_not_there_are_said(rows):
    kept = rows.run(metrics=cost(1.0))
    rows.run(seed=2, metrics=cost(5.0))
    asked = Asked("small", "", (), None, "", "", {kept: {}, "0" * 16: {}}, {kept: frozenset()})
    canvas = Canvas([rows.path], asked=asked)
    assert canvas.points("nelbo", ("family",))[0].mean == 1
    assert "1 of the 2 runs of the suite 'small' are not there" in canvas.missing


def test_an_evaluation_is_chosen_by_name_and_options(rows):
    rows.run(metrics={"active_units": {"dead_units": 5.0}}, options={"rule": "figure4", "threshold": 0.01})
    canvas = Canvas([rows.path])
    assert canvas.values("dead_units", evaluation="active_units(rule=figure4)")["value"].tolist() == [5.0]
    assert canvas.values("dead_units", evaluation="active_units(rule=paper)").empty
    with pytest.raises(UserError, match="unknown evaluation"):
        Canvas([rows.path], evaluations=["active_units(rule=paper)"]).values("dead_units")


@pytest.mark.parametrize("compacted", [False, True])
def test_units_are_in_order_whether_compacted_or_not(rows, compacted):
    one = rows.run(units={"elbo": {"kl": [3.0, 1.0, 2.0]}}, metrics=cost(1.0))
    other = rows.run(seed=2, units={"elbo": {"kl": [5.0]}}, metrics=cost(1.0))
    folder = Folder.of(rows.path)
    if compacted:
        compact(rows.store.path)
    found = folder.units([one, other], "kl", "validation")
    assert found[one].tolist() == [3.0, 1.0, 2.0]
    assert found[other].tolist() == [5.0]
    assert set(folder.units([other], "kl", "validation")) == {other}


def test_arrays_are_read_without_torch_and_damage_is_seen(tmp_path):
    tensors = {
        "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
        "b": torch.tensor([1, 2], dtype=torch.int64),
        "c": torch.tensor([True, False]),
        "d": torch.zeros(0, 3, dtype=torch.float64),
        "e": torch.arange(3, dtype=torch.uint8),
    }
    path = tmp_path / "x.safetensors"
    path.write_bytes(tensors_to_bytes(tensors))
    found = read_arrays(path)
    assert set(found) == set(tensors)
    assert all(np.array_equal(found[name], tensors[name].numpy()) for name in tensors)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="checksum is wrong"):
        read_arrays(path)


def test_the_folder_that_has_no_results_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere has no results"):
        Canvas([tmp_path / "nowhere"]).points("nelbo", ("family",))


def test_an_array_that_a_run_does_not_have_is_named_with_those_that_it_has(rows):
    rows.run(arrays={"dictionary": {"elements_test": torch.zeros(2)}}, metrics={"dictionary": {"dictionary_norm": 1.0}})
    canvas = Canvas([rows.path])
    run = canvas.arrays_of("dictionary").iloc[0].to_dict()
    with pytest.raises(UserError, match=r"dictionary-1.safetensors: unknown array 'elements'.*known: elements_test"):
        canvas.arrays(run, "elements")


def test_a_run_without_a_seed_is_no_seed_of_a_mean(rows):
    rows.run(metrics=cost(1.0))
    rows.run(seed=None, metrics=cost(2.0))
    with pytest.raises(UserError, match="has no seed"):
        Canvas([rows.path]).points("nelbo", ("family",))

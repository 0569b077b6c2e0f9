"""`relaxation_quality`: the study's numbers against exact moments and known orders, what it stores, its options and its figure."""

import numpy as np
import pandas as pd
import pytest
import torch
from latentbench_relaxations.quality import RelaxationQuality, RelaxationQualityOptions
from scipy import stats

from latentbench.blocks.smoothing import effective_width
from latentbench.errors import UserError
from latentbench.reporting import Canvas, Query, compare
from latentbench.reporting.drawing import drawing_style
from latentbench.reporting.extensions import problem
from latentbench.reporting.figures import draw, figure_named
from latentbench.reporting.studies import run_study
from latentbench.reporting.study import Study
from latentbench.results.store import Store
from tests.blocks import relaxations

GRID = {"rates": [2.0, 100.0], "temperatures": [0.05, 0.5], "trials": 8, "samples": 2000}


def silent(done, total, label):
    pass


def measured(**options):
    pieces = RelaxationQuality(RelaxationQualityOptions(**{**GRID, **options})).pieces()
    found = [summary for measure in pieces.values() for summary in measure()]
    rows = [{**s.settings.get("family_options", {}), "temperature": s.settings.get("training", {}).get("temperature_stop"), **vars(s)} for s in found]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def quality():
    return measured()


def value(frame, metric, relaxation, temperature, rate, truncate, column="value"):
    mine = frame[(frame["metric"] == metric) & (frame["relaxation"] == relaxation) & (frame["temperature"] == temperature)]
    (row,) = mine[(mine["index"] == rate) & (mine["truncate"] == truncate)].to_dict("records")
    return row[column]


@pytest.mark.parametrize("truncate", [True, False])
@pytest.mark.parametrize("name", relaxations.INDICATORS)
def test_moments_are_exact_ones_within_their_error(quality, name, truncate):
    """Eight comparisons a case; each fails by chance with probability 1e-5, by Student's t of the trials."""
    for rate, n_exp in ((2.0, 8), (100.0, 132)):
        for temperature in GRID["temperatures"]:
            exact = relaxations.cut_moments(name, temperature, rate, n_exp if truncate else 4000)
            for metric, moment in zip(("mean_ratio", "variance_ratio"), exact, strict=True):
                found, half = (value(quality, metric, name, temperature, rate, truncate, column) for column in ("value", "interval"))
                wide = half * stats.t.ppf(1 - 5e-6, 7) / stats.t.ppf(0.995, 7)
                assert found == pytest.approx(moment / rate, abs=wide)


def test_known_orders(quality):
    """The ramp's bias of the mean is below the sigmoid's, which at a high rate comes from the cut: .849 with it, 1.063 without (rate 100, T = .5)."""
    for truncate in (True, False):
        cubic, sigmoid = (abs(value(quality, "mean_ratio", name, 0.5, 100.0, truncate) - 1) for name in ("cubic", "sigmoid"))
        assert cubic < sigmoid / 5
    assert value(quality, "mean_ratio", "sigmoid", 0.5, 100.0, True) == pytest.approx(0.849, abs=0.003)
    assert value(quality, "mean_ratio", "sigmoid", 0.5, 100.0, False) == pytest.approx(1.063, abs=0.003)


def test_distances_are_those_of_sorted_samples_and_above_their_floor(quality):
    """Against the follow-up's W1 at T = .5, which is of another number of samples; and scipy's distance for one trial."""
    floors = quality[quality["metric"] == "wasserstein_1_floor"].set_index("index")["value"]
    for rate, published in ((100.0, {"sigmoid": 1.5113, "cubic": 0.1488, "linear": 0.2663}),):
        for name, expected in published.items():
            found = value(quality, "wasserstein_1", name, 0.5, rate, True)
            assert found == pytest.approx(expected, abs=2 * floors[rate])
            assert found > floors[rate]
    study = RelaxationQuality(RelaxationQualityOptions(**GRID))
    one, other = torch.rand(2, 3, 500).unbind()
    first, second = study._distances(one, other, 4.0)
    assert first[1].item() == pytest.approx(stats.wasserstein_distance(one[1].numpy(), other[1].numpy()) / 2, rel=1e-6)
    assert (second >= first).all()


def test_distances_can_be_left_as_counts():
    plain, over = (measured(relaxations=["cubic"], rates=[4.0], temperatures=[0.5], normalised=normalised) for normalised in (False, True))
    for metric in ("wasserstein_1", "wasserstein_2_floor"):
        one, other = (frame[frame["metric"] == metric]["value"].iloc[0] for frame in (plain, over))
        assert one == pytest.approx(2 * other, rel=1e-12)


def test_it_repeats_and_depends_on_its_seed():
    small = {"relaxations": ["cubic", "gumbel_softmax"], "rates": [1.0], "temperatures": [0.1], "trials": 2, "samples": 50}
    one, again, other = (measured(**small, seed=seed)["value"].to_numpy() for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_the_published_grid_and_what_is_given_apart_from_it():
    options = RelaxationQualityOptions(grid="published", trials=3)
    assert (len(options.of("rates")), len(options.of("temperatures")), options.of("trials"), options.of("samples")) == (13, 11, 3, 50_000)


def test_it_stores_summaries_that_leaderboards_and_the_figure_show(tmp_path):
    options = {**GRID, "relaxations": ["sigmoid", "cubic", "gumbel_softmax"], "samples": 100, "trials": 2}
    count = run_study("relaxation_quality", options, tmp_path / "r", silent)
    assert run_study("relaxation_quality", options, tmp_path / "r", silent) == count  # in place of the first
    rows = Store(tmp_path / "r").read("summaries")
    assert len(rows) == count == 10 * (1 + 2 * 4) + 2 * 2
    widths = rows[rows["metric"] == "effective_width"]
    assert effective_width("cubic", 0.5) in widths["value"].tolist()
    board = compare(
        [tmp_path / "r"],
        Query(
            "mean_ratio",
            ("family_options.relaxation", "family_options.truncate"),
            split="prior",
            index=2.0,
            only={"training.temperature_stop": [0.5]},
        ),
    )
    assert len(board.rows) == 5
    for over in ("temperature", "effective_width"):
        with drawing_style():
            drawing = draw(figure_named("relaxation_quality", {"over": over, "rate": 2.0}), Canvas([tmp_path / "r"]))
        assert len(drawing.axes) == 4
        shown = {float(x) for container in drawing.axes[0].containers for x in container.lines[0].get_xdata()}
        assert shown == ({0.05, 0.5} if over == "temperature" else set(widths["value"]))
    with pytest.raises(UserError, match="rate 3 is not stored; stored: 2, 100"):
        draw(figure_named("relaxation_quality", {"rate": 3.0}), Canvas([tmp_path / "r"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"relaxations": ["step"]}, "unknown relaxation 'step'; known: sigmoid"),
        ({"rates": [0.0]}, "numbers above 0"),
        ({"rates": [1.0, 1e300]}, "at most 10000, got 1e\\+300"),
        ({"temperatures": [1e6]}, "at most 100, got 1000000"),
        ({"trials": 1}, "greater than or equal to 2"),
    ],
)
def test_wrong_options_are_named(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        run_study("relaxation_quality", options, tmp_path, silent)


def test_a_piece_depends_on_no_other():
    """As an interrupted study measures only those that are missing."""
    pieces = RelaxationQuality(RelaxationQualityOptions(**{**GRID, "trials": 2, "samples": 50})).pieces()
    forwards = {label: list(measure()) for label, measure in pieces.items()}
    assert {label: list(pieces[label]()) for label in reversed(pieces)} == forwards


def test_studies_that_break_a_rule_are_told():
    class Undeclared(Study):
        name = "undeclared"

        def pieces(self):
            return {}

    assert "metrics" in problem(Undeclared, Study)
    with pytest.raises(UserError, match="unknown study 'nothing'"):
        run_study("nothing", {}, "unused", silent)

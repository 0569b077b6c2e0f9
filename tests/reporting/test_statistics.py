"""The statistics of a cell, against scipy."""

import numpy as np
import pytest
from scipy import stats

from latentbench.reporting.statistics import Cell, half_width, over_seeds


def test_one_seed_has_no_interval():
    assert half_width(np.array([3.0])) is None


def test_a_cell_over_seeds_has_the_student_interval():
    values = np.array([1.0, 4.0, 2.0, 8.0])
    low, high = stats.t.interval(0.99, 3, values.mean(), stats.sem(values))
    cell = over_seeds(values, missing=2)
    assert (cell.mean, cell.n, cell.missing, cell.empty) == (3.75, 4, 2, False)
    assert cell.interval == pytest.approx((high - low) / 2)


def test_a_cell_whose_seeds_all_failed_is_empty():
    cell = over_seeds(np.array([]), missing=3)
    assert (cell.n, cell.missing, cell.empty, cell.interval) == (0, 3, True, None)
    assert not Cell(1.0, None, None).empty  # a published summary

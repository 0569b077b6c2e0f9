"""Soft indicators: values, slopes and supports against the paper's formulas under autograd, in float64."""

import pytest
import torch

from latentbench.blocks.indicators import INDICATORS, reach
from tests.blocks import relaxations

TEMPERATURES = [0.02, 0.3, 1.0, 1.7]
each = pytest.mark.parametrize("name", relaxations.INDICATORS)


def times(temperature):
    """Where ramps are flat, where they rise, and their ends."""
    ends = [0.0, max(0.0, 1 - temperature), 1.0, 1 + temperature, 2 + 3 * temperature]
    return torch.cat([torch.linspace(0, 2 + 3 * temperature, 1000, dtype=torch.float64), torch.tensor(ends, dtype=torch.float64)])


def test_every_indicator_is_here():
    assert set(INDICATORS) == set(relaxations.INDICATORS)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@each
def test_values_are_the_formula_s(name, temperature):
    expected = relaxations.indicator(name, times(temperature), temperature)
    assert torch.allclose(INDICATORS[name].value(times(temperature), temperature), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@each
def test_slopes_are_those_of_the_formula(name, temperature):
    """-S dg / dS by autograd; the linear ramp has corners, where any slope in between will do."""
    s = times(temperature)
    corner = ((s - 1).abs() - temperature).abs() < 1e-9
    leaf = s.clone().requires_grad_()
    (slope,) = torch.autograd.grad(relaxations.indicator(name, leaf, temperature).sum(), leaf)
    g, ours, scale = INDICATORS[name].weigh(s.clone(), temperature)
    assert torch.allclose(g, INDICATORS[name].value(s, temperature), rtol=1e-15, atol=0)
    assert torch.allclose((ours * scale)[~corner], (-s * slope)[~corner], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@each
def test_nothing_counts_beyond_the_reach(name, dtype):
    for temperature in TEMPERATURES:
        end = reach(temperature, dtype, name)
        g, slope, scale = INDICATORS[name].weigh(torch.tensor([end, 2 * end], dtype=dtype), temperature)
        assert float(g.max()) < torch.finfo(dtype).eps
        assert float((slope * scale).abs().max()) < torch.finfo(dtype).eps * (2 * end / temperature)


@pytest.mark.parametrize("name", relaxations.RAMPS)
def test_ramps_end_at_1_plus_t_and_no_earlier(name):
    assert reach(0.3, torch.float32, name) == pytest.approx(1.3, rel=1e-7)
    late = torch.tensor([1.2], dtype=torch.float64)
    assert float(INDICATORS[name].value(late, 0.3)) > 1e-4


def test_a_gumbel_softmax_has_the_arrivals_of_the_unit_of_time():
    assert reach(0.3, torch.float32, "gumbel_softmax") == 1

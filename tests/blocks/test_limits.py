"""Soft limits: bounds, slopes, and the size of the error that the docstrings state."""

import math

import pytest
import torch

from latentbench.blocks.limits import softly_below, softly_within


def test_the_soft_limit_is_smooth_and_slightly_below_its_input():
    x = torch.linspace(-20, 40, 200, dtype=torch.float64)
    assert (softly_below(5.3, x) <= torch.minimum(x, torch.tensor(5.3, dtype=torch.float64)) + 1e-12).all()
    assert float(softly_below(5.0, torch.zeros((), dtype=torch.float64))) == pytest.approx(-0.0067153, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slopes_of_the_upper_limit_are_sigmoids(dtype):
    x = torch.linspace(-30, 30, 61, dtype=dtype, requires_grad=True)
    softly_below(2.0, x).sum().backward()
    assert torch.allclose(x.grad, torch.sigmoid(2.0 - x.detach()), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("dtype", "saturates"), [(torch.float32, 9.1), (torch.float64, 19.1)])
def test_the_limit_on_both_sides_is_about_the_identity_near_zero_and_saturates_where_it_says(dtype, saturates):
    small = torch.linspace(-0.1, 0.1, 21, dtype=dtype)
    assert torch.allclose(softly_within(3.0, small), small - small**3 / 27, rtol=1e-6, atol=1e-9)
    inside, outside = (torch.tensor(3.0 * (saturates + by), dtype=dtype, requires_grad=True) for by in (-0.4, 0))
    assert float(softly_within(3.0, inside).detach()) < 3.0 == float(softly_within(3.0, outside).detach())
    softly_within(3.0, outside).backward()
    assert float(outside.grad) == 0


def test_beyond_twenty_the_upper_limit_leaves_values_as_they_are():
    x = torch.tensor(-18.5, dtype=torch.float64)
    assert float(softly_below(2.0, x)) == -18.5
    assert math.log1p(math.exp(-20)) < 3e-9

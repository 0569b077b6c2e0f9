"""The exponential, against NumPy's in float64."""

import numpy as np
import pytest
import torch

from latentbench.blocks.exponential import exponential


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_exponential_to_the_stated_error(dtype, factor):
    x = torch.linspace(-80, 80, 100_001, dtype=dtype)
    exact = np.exp(factor * x.double().numpy())
    error = np.abs(exponential(x, factor).double().numpy() / exact - 1)
    assert (error <= torch.finfo(dtype).eps * (1 + np.abs(factor * x.double().numpy()))).all()


def test_its_ends_are_those_of_the_exponential():
    assert exponential(torch.tensor([-torch.inf, -1e4, 0.0, 1e4, torch.inf])).tolist() == [0, 0, 1, torch.inf, torch.inf]


def test_what_it_is_given_stays():
    x = torch.ones(3)
    exponential(x)
    assert x.tolist() == [1, 1, 1]

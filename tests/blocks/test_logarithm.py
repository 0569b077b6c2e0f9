"""The logarithm in place against NumPy's in float64."""

import numpy as np
import pytest
import torch

from latentbench.blocks.logarithm import log_in_place


@pytest.mark.parametrize(("dtype", "units"), [(torch.float32, 4), (torch.float64, 1)])
def test_errors_are_a_few_units_in_the_last_place(dtype, units):
    tiny = torch.finfo(dtype).tiny
    x = torch.cat(
        [torch.logspace(np.log10(tiny) + 0.1, 30, 50_001, dtype=torch.float64), 1 + torch.linspace(-1e-3, 1e-3, 10_001, dtype=torch.float64)]
    ).to(dtype)
    exact = np.log(x.numpy().astype(np.longdouble))
    result = log_in_place(x)
    assert result is x
    spacing = np.spacing(np.abs(exact).astype(x.numpy().dtype))
    assert float((np.abs(result.numpy() - exact) / spacing).max()) < units


def test_the_shape_is_kept():
    assert log_in_place(torch.ones(2, 1, 3)).tolist() == torch.zeros(2, 1, 3).tolist()

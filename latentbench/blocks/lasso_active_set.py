"""The compiled active-set solver, as the rest of the code sees it: tensors in, tensors out, images shared out between threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor

from latentbench.blocks.lasso_newton import Problems

CHUNK = 16
"""The fewest images that are worth a thread."""


@cache
def is_compiled() -> bool:
    """Whether numba is installed, and fits the numpy that is."""
    try:
        import numba  # noqa: F401  # it takes half a second, and is only there for solvers that are asked for
    except ImportError:  # not installed, or not made for this numpy: solvers in torch give the same codes
        return False
    return True


def solve_compiled(given: Problems, tolerance: float, limit: int) -> tuple[Tensor, Tensor]:
    """Codes [B, K] whose gaps are at most `tolerance` 1/2 |x|^2, to the precision of the problems' dtype; on the CPU, with numba.

    The second tensor [B] says which images need more than `limit` active codes, and have none.
    Images are shared out between as many threads as torch has, which changes no code.
    """
    from latentbench.blocks.lasso_compiled import solve

    codes = torch.zeros_like(given.drive)
    gram = given.gram.matrix.contiguous().numpy()

    def of(rows: slice) -> None:
        drive, energy = given.drive[rows].contiguous().numpy(), given.energy[rows].numpy()
        solve(drive, gram, energy, given.l1, given.non_negative, tolerance, limit, codes[rows].numpy())

    n, threads = len(codes), max(1, min(torch.get_num_threads(), len(codes) // CHUNK))
    parts = [slice(n * i // threads, n * (i + 1) // threads) for i in range(threads)]
    if threads == 1:
        of(parts[0])
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(of, parts))
    dense = codes[:, 0].isnan()
    codes[dense] = 0
    return codes, dense

"""`python -m benchmarks`: measure everything and print the table; with `--quick` fewer rounds and no curves."""

import sys
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from benchmarks import growth, logistic, neighbours, poisson, sparse_coding, steps
from benchmarks.harness import machine, table


def main(quick: bool) -> int:
    """Print the table; 1 where a gate is missed."""
    torch.set_num_threads(1)
    rounds = 2 if quick else 7
    with threadpool_limits(1):
        print(machine(), flush=True)
        rows = poisson.sampler_rows(rounds)
        rows += steps.step_rows(rounds)
        rows += sparse_coding.rows(rounds)
        rows += sparse_coding.lasso_rows(rounds)
        rows += logistic.rows(rounds if quick else 3)
        rows += neighbours.rows(rounds if quick else 3)
        print("\n" + table(rows), flush=True)
        if not quick:
            growth.draw(Path(__file__).parent / "growth.png")
    return int(any(row.passed is False for row in rows))


if __name__ == "__main__":
    sys.exit(main("--quick" in sys.argv))

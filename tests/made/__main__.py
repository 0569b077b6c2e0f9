"""`python -m tests.made SUITE FOLDER`."""

import argparse
from pathlib import Path

from tests.made import __doc__ as about
from tests.made import make

parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("suite", type=Path)
parser.add_argument("folder", type=Path)
parser.add_argument("--failed", type=float, default=0.0, help="share of runs that have failed")
parser.add_argument("--seed", type=int, default=0, help="of the numbers")
parser.add_argument("--seeds", type=int, nargs="*", help="of the runs")
parser.add_argument("--recorded", type=Path, nargs="*", default=[], help="other suites that the folder records as having been run there")
parser.add_argument("--no-arrays", action="store_true")
given = parser.parse_args()
made = make(given.suite, given.folder, failed=given.failed, seed=given.seed, seeds=given.seeds, arrays=not given.no_arrays, recorded=given.recorded)
print(f"{len(made.plan.runs)} runs in {given.folder}, {len(made.failed)} failed")

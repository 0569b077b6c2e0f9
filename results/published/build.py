"""Write the papers' and the authors' numbers as rows of a latentbench store.

    python results/published/build.py FOLDER [--into OTHER]

reads the CSV files of FOLDER (`published*.csv`, and those in its folder `followups`), and writes the tables beside this file, or into the folder
OTHER. What is there of earlier ones is removed.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from followups import write_followups
from paper import write_paper

from latentbench.results.store import Store
from latentbench.results.tables import TABLES


def build(folder: Path, into: Path) -> None:
    """Write all tables."""
    for table in TABLES:
        shutil.rmtree(into / table, ignore_errors=True)
    store = Store(into)
    write_paper(store, folder)
    write_followups(store, folder / "followups")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--into", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    build(given.folder, given.into)

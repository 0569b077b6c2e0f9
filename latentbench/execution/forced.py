"""What an interrupted `--force` has left to do: the same command continues it, and does not start everything again.

`forced/` has one JSON file a suite, as long as an invocation with `--force` has not ended: the runs that it runs again, each with the revision that
the store had of it. A run of which the store has another revision by now was run again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from latentbench.errors import UserError
from latentbench.files import remove, write_atomically


def unfinished(results: Path, suite: str) -> dict[str, str | None]:
    """Run id -> revision, of the runs that an interrupted invocation was to run again.

    Raises:
        UserError: the file is damaged.
    """
    path = _path(results, suite)
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); remove it, and --force starts from the beginning") from error
    if not isinstance(found, dict) or not all(value is None or isinstance(value, str) for value in found.values()):
        raise UserError(f"{path} is damaged (it does not map run ids to revisions); remove it, and --force starts from the beginning")
    return found


def begin(results: Path, suite: str, revisions: Mapping[str, str | None]) -> None:
    """Note what is run again."""
    write_atomically(_path(results, suite), json.dumps(dict(revisions)).encode())


def end(results: Path, suite: str) -> None:
    """All of it was run again."""
    remove(_path(results, suite))


def _path(results: Path, suite: str) -> Path:
    return results / "forced" / f"{hashlib.sha256(suite.encode()).hexdigest()[:16]}.json"

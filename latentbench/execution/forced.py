"""What an interrupted `--force` has left to do: the same command continues it, and does not start everything again.

`forced/` has one JSON file a suite, as long as an invocation with `--force` has not ended: the runs that it runs again, each with the revision that
the store had of it. A run of which the store has another revision by now was run again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from latentbench.errors import UserError
from latentbench.files import remove, write_atomically
from latentbench.suites.plan import Plan


@dataclass(frozen=True)
class Forcing:
    """A `--force` of one suite.

    Args:
        path: its file.
        interrupted: the revisions, by run id, of an interrupted one that this one continues.
        revisions: the revisions that the store has now of the runs of the suite.
    """

    path: Path
    interrupted: Mapping[str, str | None]
    revisions: Mapping[str, str | None]

    @classmethod
    def read(cls, results: Path, plan: Plan) -> Forcing:
        """What there is to do of a plan.

        Raises:
            UserError: the file is damaged.
        """
        path = results / "forced" / f"{hashlib.sha256(plan.name.encode()).hexdigest()[:16]}.json"
        return cls(path, _read(path), {item.run.id: item.state.revision for item in plan.runs})

    @property
    def redone(self) -> frozenset[str]:
        """The runs that were run again already."""
        return frozenset(i for i, revision in self.revisions.items() if i in self.interrupted and revision != self.interrupted[i])

    def begin(self) -> None:
        """Note what is run again."""
        write_atomically(self.path, json.dumps({i: self.interrupted.get(i, revision) for i, revision in self.revisions.items()}).encode())

    def end(self) -> None:
        """All of it was run again."""
        remove(self.path)

    def remarks(self) -> list[str]:
        """What there is to say of it to the user."""
        count = f"{len(self.redone)} of its {len(self.interrupted)} runs were run again before"
        return [f"continues a --force that was interrupted: {count}"] if self.interrupted else []


def _read(path: Path) -> dict[str, str | None]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); remove it, and --force starts from the beginning") from error
    if not isinstance(found, dict) or not all(value is None or isinstance(value, str) for value in found.values()):
        raise UserError(f"{path} is damaged (it does not map run ids to revisions); remove it, and --force starts from the beginning")
    return found

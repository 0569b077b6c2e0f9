"""What an interrupted study has measured, which the same command does not measure again."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latentbench.files import read_json, remove, write_atomically

SAVE_EVERY = 5.0
"""Seconds of measuring that a process which is killed may lose."""
Rows = Sequence[Mapping[str, Any]]


class StudyState:
    """Rows by piece of a study, in a file that is there until all of them are stored. A file of another study, or a damaged one, counts for nothing.

    Args:
        path: the file.
        identity: what the rows depend on: the study's name, options and sources.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path, self.identity = path, dict(identity)
        self.rows: dict[str, Rows] = self._read()
        self.saved_at = time.monotonic()

    def add(self, piece: str, rows: Rows) -> None:
        """Add what a piece has given; it is written now and then."""
        self.rows[piece] = rows
        if time.monotonic() - self.saved_at > SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write all rows."""
        write_atomically(self.path, json.dumps({"identity": self.identity, "rows": self.rows}).encode())
        self.saved_at = time.monotonic()

    def remove(self) -> None:
        """Remove the file."""
        remove(self.path)

    def _read(self) -> dict[str, Rows]:
        try:
            stored = read_json(self.path)
        except (FileNotFoundError, ValueError):
            return {}
        return stored["rows"] if isinstance(stored, dict) and stored.get("identity") == self.identity else {}

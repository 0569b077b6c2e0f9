"""Running a study by its name, and storing what it finds among a results folder's summaries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from latentbench.errors import UserError, first_problem
from latentbench.execution.cost.progress import Tell
from latentbench.imported import hashes
from latentbench.reporting.extensions import load_reporting
from latentbench.reporting.study import Study, Summary
from latentbench.reporting.study_state import StudyState
from latentbench.results.provenance import MODEL
from latentbench.results.store import Store
from latentbench.results.tables import SETTINGS

SPLIT = "prior"
"""The split of what is measured without data, as evaluations have it."""


def study_kind(name: str) -> type[Study]:
    """The study of a name.

    Raises:
        UserError: no plugin has it.
    """
    return cast("type[Study]", load_reporting().get("studies", name))


def run_study(name: str, options: Mapping[str, Any], results: Path, tell: Tell) -> int:
    """Run the study `name`, and store its values in place of those that it has stored there before; how many they are.

    Interrupted, it has stored nothing yet, and keeps the pieces that it has measured: the same options in the same folder continue it.

    Args:
        name: the study.
        options: its options.
        results: the results folder.
        tell: told of progress over its pieces.

    Raises:
        UserError: the name or an option is wrong, or the folder cannot be written.
    """
    kind, store = study_kind(name), Store(results)
    try:
        study = kind(kind.options_model.model_validate(dict(options)))
    except ValidationError as error:
        raise first_problem(error, kind.options_model, dict(options)).error(where=f"--option of study '{name}'") from error
    store.path.mkdir(parents=True, exist_ok=True)
    store.check_writable()
    identity = {"study": name, "options": study.options.model_dump(mode="json"), "sources": hashes([kind.__module__], frozenset(MODEL))}
    state = StudyState(store.path / "states" / f"study-{name}.json", identity)
    try:
        rows = _measured(study, state, tell)
    except BaseException:
        if state.rows:
            state.save()
        raise
    store.write_rows("summaries", name, rows)
    state.remove()
    return len(rows)


def _measured(study: Study, state: StudyState, tell: Tell) -> list[Mapping[str, Any]]:
    """Rows of all pieces, of which `state` may have some already."""
    pieces = study.pieces()
    missing = [label for label in pieces if label not in state.rows]
    for number, label in enumerate(missing):
        tell(len(pieces) - len(missing) + number, len(pieces), label)
        state.add(label, [_row(study, found) for found in pieces[label]()])
    return [row for label in pieces for row in state.rows[label]]


def _row(study: Study, found: Summary) -> dict[str, Any]:
    """A row of `summaries`: mappings are JSON there."""
    if found.metric not in study.metrics:
        raise UserError(f"study '{study.name}' yields the metric '{found.metric}', which it does not declare")
    unknown = sorted(set(found.settings) - set(SETTINGS))
    if unknown:
        raise UserError(f"study '{study.name}' describes {found.metric} by {', '.join(unknown)}, which no run has")
    settings = {name: json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else value for name, value in found.settings.items()}
    about = {"split": SPLIT, "metric": found.metric, "index_name": study.metrics[found.metric].index, "index": found.index}
    return {**settings, **about, "value": found.value, "interval": found.interval, "source": f"latentbench study {study.name}"}

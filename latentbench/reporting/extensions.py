"""What plugins of reporting provide: figures, derived metrics, notices and studies, loaded without torch."""

from __future__ import annotations

from functools import cache
from textwrap import fill, indent
from typing import cast

from pydantic import ValidationError

from latentbench.errors import first_problem
from latentbench.loading import Group, Kind, Loaded, load, registered_problem
from latentbench.measure import measures_problem
from latentbench.part import Registered
from latentbench.reporting import hookspecs
from latentbench.reporting.derived import Derived
from latentbench.reporting.figure import Figure
from latentbench.reporting.notice import Notice, notice_problem
from latentbench.reporting.query import Query
from latentbench.reporting.study import Study
from latentbench.reporting.text import first_paragraph
from latentbench.suites.evaluation_text import parse_evaluation

KINDS = {
    "figures": Kind(Figure, "figure"),
    "derived": Kind(Derived, "derived metric"),
    "notices": Kind(Notice, "notice"),
    "studies": Kind(Study, "study"),
}


def problem(part: object, base: type[Registered]) -> str | None:
    """The first rule that a part breaks, as a clause that begins with the part; None where it keeps all."""
    broken = registered_problem(part, base)
    if broken is None and isinstance(part, type) and issubclass(part, Derived):
        measured = measures_problem("measure", {part.name: getattr(part, "measure", None)})
        broken = measured and f"{part.__name__} {measured}"
    if broken is None and isinstance(part, type) and issubclass(part, Study):
        measured = measures_problem("metrics", getattr(part, "metrics", None))
        broken = measured and f"{part.__name__} {measured}"
    if broken is None and isinstance(part, type) and issubclass(part, Notice):
        wrong = notice_problem(part)
        broken = wrong and f"{part.__name__} {wrong}"
    if broken is None and isinstance(part, type) and issubclass(part, Figure) and not (part.__doc__ or "").strip():
        broken = f"{part.__name__} has no docstring, whose first paragraph is its caption"
    return broken


GROUP = Group(hookspecs, KINDS, problem)


@cache
def load_reporting() -> Loaded:
    """The figures, derived metrics, notices and studies of every installed plugin of the group `latentbench.reporting`.

    Raises:
        UserError: LATENTBENCH_DISABLE names what is not installed.
    """
    loaded = Loaded(KINDS)
    load("latentbench.reporting", GROUP, loaded)
    return loaded


def listed(kind: str) -> str:
    """The figures or studies of all plugins, each with the first paragraph of its docstring and its options."""
    loaded, blocks = load_reporting(), []
    for part in sorted(loaded.parts[kind].values(), key=lambda part: part.name):
        options = ", ".join(f"{key}={field.get_default(call_default_factory=True)}" for key, field in part.options_model.model_fields.items())
        lines = [first_paragraph(part), f"options: {options}" if options else "no options"]
        blocks.append("\n".join([f"{part.name} ({loaded.providers[part]})", *(indent(fill(line, 92), "    ") for line in lines)]))
    return "\n\n".join([*blocks, *loaded.problems()]) or f"no plugin has {kind}"


def derived_of(query: Query) -> Derived | None:
    """The derived metric that a query names; None where it names a stored one, or asks for summaries, which may be of a derived one."""
    return None if query.values_of == "summaries" else derived_metric(query.metric)


def derived_metric(text: str) -> Derived | None:
    """The derived metric that a text names, as in `percent_drop(of=nelbo)`; None where no plugin derives one of that name.

    Raises:
        UserError: it has no such option, or not such a value.
    """
    found = load_reporting().parts["derived"].get(text.partition("(")[0].strip())
    if found is None:
        return None
    spec, part = parse_evaluation(text, "--metric"), cast("type[Derived]", found)
    try:
        return part(part.options_model.model_validate(dict(spec.options)))
    except ValidationError as error:
        raise first_problem(error, part.options_model, dict(spec.options)).error(spec.where) from error

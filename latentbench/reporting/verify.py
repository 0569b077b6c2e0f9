"""`latentbench verify`: each value that was published for a suite, what its runs give, and whether the two agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from latentbench.errors import UserError
from latentbench.measure import Measure
from latentbench.reporting.asked import asked, other_changes
from latentbench.reporting.expected import Expected, Measured, Settings, expected
from latentbench.reporting.matches import matches, named, told_apart
from latentbench.reporting.measured import Model, Results, Values, models_of
from latentbench.reporting.selecting import declarations
from latentbench.reporting.statistics import half_width
from latentbench.reporting.verdicts import ALPHA, FAILING, Case, Judgement, Published, Verdict, judge
from latentbench.results.asked import Asked
from latentbench.suites.expect import Verify
from latentbench.suites.suite import Suite, load_suite

SHARE = "share"
"""How the unit of a share begins."""


@dataclass(frozen=True)
class Line:
    """One published value, our own, and the verdict.

    `settings` are the published ones, dotted where nested; `named` those of them that tell the values of a table apart. `mean` and `interval` (the
    half-width of a 99 % t interval) are of `n` seeds of our own; those without a value are counted by reason. `margin` is the difference that counts
    as agreement. `reason` says why there is no verdict, unless more seeds would give one. `notes` are remarks that qualify it.
    """

    table: str
    settings: Settings
    named: Mapping[str, str]
    measured: Measured
    index_name: str
    published: Published
    source: str
    values: Values
    margin: float
    judgement: Judgement
    reason: str = ""
    notes: Sequence[str] = ()

    @property
    def verdict(self) -> Verdict:
        """What can be said."""
        return self.judgement.verdict

    @property
    def n(self) -> int:
        """Seeds of our own that have a value."""
        return len(self.values.by_seed)

    @property
    def mean(self) -> float | None:
        """Over our own seeds."""
        return sum(self.values.by_seed.values()) / self.n if self.n else None

    @property
    def interval(self) -> float | None:
        """Half the width of its 99 % Student t interval."""
        return half_width(list(self.values.by_seed.values()))


@dataclass(frozen=True)
class Verification:
    """The verdicts on all published values that a suite expects, in the order of its tables. `notes` are about all of them."""

    suite: str
    results: Sequence[Path]
    lines: Sequence[Line]
    notes: Sequence[str] = ()
    measures: Mapping[str, Measure] = field(default_factory=dict)

    @property
    def tables(self) -> Mapping[str, Counter[Verdict]]:
        """Table -> how often there was each verdict."""
        found: dict[str, Counter[Verdict]] = {}
        for line in self.lines:
            found.setdefault(line.table, Counter())[line.verdict] += 1
        return found

    @property
    def failed(self) -> bool:
        """Whether something is not as it was published."""
        return any(line.verdict in FAILING for line in self.lines)


def verify(suite: Path, results: Sequence[Path]) -> Verification:
    """Compare what results folders have of a suite's runs with the published tables that it expects.

    Raises:
        UserError: the suite expects nothing, no published table is there, or a file is wrong or damaged.
    """
    loaded = load_suite(suite)
    if not loaded.expect:
        raise UserError(f"{suite}: the suite expects no published table; name one with `expect`, as in `expect: published/table5`")
    tables = expected(suite, {table: loaded.verify.get(table, Verify()) for table in loaded.expect})
    if not tables.values:
        raise UserError(f"{suite}: nothing to compare with: {'; '.join(loaded.notes) or 'the tables that it expects have no values'}")
    wanted = asked(suite, results)
    found = Results.read(results, wanted, {value.measured for value in tables.values})
    measures = {**tables.measures, **declarations(results)}
    drafts = [_draft(value, models, wanted, found) for value, models in zip(tables.values, matches(tables.values, models_of(wanted)), strict=True)]
    margins = [margin_of(value, loaded.verify.get(value.table, Verify()), measures) for value in tables.values]
    lines = _lines(tables.values, drafts, margins)
    notes = (*_notes(lines), *_changed(suite, results, lines), *_absent(loaded, tables.missing))
    return Verification(wanted.name, tuple(results), lines, notes, measures)


def margin_of(value: Expected, how: Verify, measures: Mapping[str, Measure]) -> float:
    """The difference from a published value that counts as agreement."""
    metric = value.measured.metric
    if metric in how.absolute:
        return how.absolute[metric]
    measure = measures.get(metric)
    return how.share if measure is not None and measure.unit.startswith(SHARE) else how.margin * abs(value.published.value)


@dataclass(frozen=True)
class _Draft:
    """What there is to judge a published value by. With a `problem` it cannot be, and `unclear` tells that runs are there nevertheless."""

    values: Values = field(default_factory=Values)
    problem: str = ""
    unclear: bool = False
    notes: tuple[str, ...] = ()


def _draft(value: Expected, models: Sequence[Model], wanted: Asked, found: Results) -> _Draft:
    """Our own values for a published one."""
    if not models:
        return _Draft(problem="the suite has no run with these settings")
    others = told_apart(models)
    if others:
        return _Draft(problem=f"{len(models)} models of the suite have these settings, with {others}", unclear=True)
    measured = [(found.values(model, wanted, value.measured, value.evaluation), model) for model in models]
    values, model = max(measured, key=lambda pair: len(pair[0].by_seed))
    there = [(len(each.by_seed), str(other.settings.get("device"))) for each, other in measured if each.by_seed]
    devices = f"of runs on {model.settings.get('device')}; not pooled with those on another kind of device" if len(there) > 1 else ""
    if values.problem:
        return _Draft(problem=values.problem, unclear=True)
    if not values.by_seed:
        why = found.problems.get(value.measured) or _why_empty(values, found.nearest(model), value.measured.metric)
        return _Draft(values, problem=why)
    source = f"{values.other_source} of {len(values.by_seed)} runs were made by other source than the newest run" if values.other_source else ""
    return _Draft(values, notes=tuple(filter(None, (devices, source))))


def _why_empty(values: Values, nearest: str, metric: str) -> str:
    """Why a model has no value."""
    if values.failed:
        return f"{_counted(values.failed, 'run')} failed"
    if values.not_finite:
        return "its values are not finite"
    if values.unmeasured:
        return f"'{metric}' was not measured as the suite asks"
    return nearest or "no run of it is there"


def _lines(values: Sequence[Expected], drafts: Sequence[_Draft], margins: Sequence[float]) -> list[Line]:
    """All verdicts, which are given together: their p-values are adjusted over all of them."""
    cases = [
        Case([] if draft.problem else [*draft.values.by_seed.values()], value.published, margin)
        for value, draft, margin in zip(values, drafts, margins, strict=True)
    ]
    return [_line(*each) for each in zip(values, drafts, cases, judge(cases), named(values), strict=True)]


def _line(value: Expected, draft: _Draft, case: Case, judgement: Judgement, names: Mapping[str, str]) -> Line:
    if draft.unclear:
        judgement = Judgement(Verdict.CANNOT_TELL)
    reason = draft.problem or _why_untold(case, judgement)
    notes = (*draft.notes, *_qualified(case, judgement))
    return Line(
        value.table, value.settings, names, value.measured, value.index_name, value.published, value.source,
        draft.values, case.margin, judgement, reason, notes,
    )  # fmt: skip


def _why_untold(case: Case, judgement: Judgement) -> str:
    """Why two seeds or more, or one, do not give a verdict."""
    if judgement.verdict != Verdict.CANNOT_TELL:
        return ""
    if len(case.ours) == 1:
        return "one seed, and a published value without a bar"
    if case.margin <= case.published.rounding:
        return "the published value is rounded more coarsely than the margin"
    return "" if judgement.more else "no number of seeds of our own would tell"


def _qualified(case: Case, judgement: Judgement) -> Iterable[str]:
    """Remarks on what the published value allows."""
    published = case.published
    if judgement.verdict == Verdict.NOT_RUN:
        return
    if not published.seeds:
        yield "the published value has no bar over seeds" if published.interval is None else "the published bar is that of one value, not of seeds"
    elif published.sample.variance == 0 and judgement.allowed is not None:
        yield "the published seeds are all equal, so the margin decides"


def _notes(lines: Sequence[Line]) -> Iterable[str]:
    """What a reader of all verdicts must know."""
    single = sum(line.judgement.allowed is not None for line in lines)
    if single:
        yield f"{_counted(single, 'value')} with one seed of our own: of {round(1 / ALPHA)} that agree one is inconsistent by chance"
    failed, not_finite = (sum(bool(getattr(line.values, name)) for line in lines) for name in ("failed", "not_finite"))
    if failed:
        yield f"{_counted(failed, 'value')} without all seeds: some runs failed"
    if not_finite:
        yield f"{_counted(not_finite, 'value')} without all seeds: some are not finite"


def _changed(suite: Path, results: Sequence[Path], lines: Sequence[Line]) -> Iterable[str]:
    """How the suite was changed where it was run, if runs are missing."""
    if any(line.verdict == Verdict.NOT_RUN for line in lines) and (changes := other_changes(suite, results)):
        yield f"runs of the suite are there with changes, and are not compared: {'; '.join(changes)}"


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _absent(suite: Suite, missing: Sequence[str]) -> Iterable[str]:
    for table in missing:
        yield f"{suite.name} expects {table}, and there is no folder of it in the suite's folder or above it"

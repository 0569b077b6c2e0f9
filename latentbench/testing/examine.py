"""Holding a part against every law of its kind."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from latentbench.errors import UserError, unknown
from latentbench.part import Options, Part, Registered
from latentbench.testing.kinds import Laws, laws_of
from latentbench.testing.law import Check, Effort, InapplicableError, SkippedError, Trial, UnmadeError
from latentbench.testing.report import Finding, Report
from latentbench.testing.variants import title, variants

DEFAULT_EFFORT = Effort()


@dataclass(frozen=True)
class Subject:
    """A part with one choice of options: its title, and what the checks of its kind are given."""

    title: str
    made: Any


def examine(
    part: type[Registered],
    options: Options | None = None,
    effort: Effort = DEFAULT_EFFORT,
    only: Collection[str] = (),
    found: Callable[[Finding], None] = lambda finding: None,
) -> Report:
    """Hold a part against the laws of its kind.

    Args:
        part: the class.
        options: the only options that it is tried with; else those of `variants`.
        effort: samples, level, seed and device.
        only: names of the checks that are made; all where there are none.
        found: is told every finding as it comes.

    Raises:
        UserError: there are no laws for such a class, or a name in `only` or in the part's `deviations` is unknown.
    """
    laws = laws_of(part)
    _refuse_unknown(part, laws, only)
    subjects, left_out = _subjects(part, laws, options, effort)
    findings, unasked = [], []
    for check in laws.checks:
        if only and check.name not in only:
            unasked.append(check.name)
            continue
        findings.append(_finding(check, subjects, left_out, part, effort))
        found(findings[-1])
    return Report(laws.singular, part.name, findings, [subject.title for subject in subjects], left_out, unasked)


def trials_of(part: type[Registered], name: str, options: Options | None = None, effort: Effort = DEFAULT_EFFORT) -> list[Trial]:
    """The comparisons of the check `name` before they are judged, remarks left out: p-values for those who repeat a check over seeds.

    Raises:
        UserError: there are no laws for such a class, or no such check.
    """
    laws = laws_of(part)
    _refuse_unknown(part, laws, [name])
    check = next(check for check in laws.checks if check.name == name)
    found, _ = _compared(check, _subjects(part, laws, options, effort)[0], effort)
    return [trial for trial in found if not trial.is_remark]


def _refuse_unknown(part: type[Registered], laws: Laws, only: Collection[str]) -> None:
    for name in only:
        if name not in laws.names:
            raise UserError(unknown("check", name, laws.names))
    for name in _deviations(part):
        if name not in laws.names:
            raise UserError(f"{part.__name__} declares a deviation from an {unknown('check', name, laws.names)}")


def _deviations(part: type[Registered]) -> Mapping[str, str]:
    return part.deviations if issubclass(part, Part) else {}


def _subjects(part: type[Registered], laws: Laws, only: Options | None, effort: Effort) -> tuple[list[Subject], list[str]]:
    """The part with every choice of options, and the choices with which it says that it does not apply."""
    subjects, left_out = [], []
    for options in [only] if only is not None else variants(part, effort.seed):
        name = title(options) or "its defaults"
        try:
            subjects.append(Subject(name, laws.subject(part, options, effort)))
        except InapplicableError as reason:
            left_out.append(f"{name}: left out, {reason}")
        except Exception as error:  # foreign code may raise anything, and the checks say so
            subjects.append(Subject(name, error))
    return subjects, left_out


def _finding(check: Check, subjects: Sequence[Subject], left_out: Sequence[str], part: type[Registered], effort: Effort) -> Finding:
    """One check on all subjects."""
    start = time.perf_counter()
    trials, unmade = _compared(check, subjects, effort)
    unmade = unmade if subjects else [InapplicableError(reason) for reason in left_out]
    if not trials and unmade:
        told = next((reason for reason in unmade if isinstance(reason, SkippedError)), unmade[0])
        return Finding(check.name, told.status, check.law, check.cause, reason=str(told), seconds=time.perf_counter() - start)
    return judged(check, trials, _deviations(part).get(check.name), effort.level, time.perf_counter() - start)


def _compared(check: Check, subjects: Sequence[Subject], effort: Effort) -> tuple[list[Trial], list[UnmadeError]]:
    """The comparisons for all subjects, and why none was made for some."""
    trials: list[Trial] = []
    unmade: list[UnmadeError] = []
    for subject in subjects:
        try:
            trials += _trials(check, subject, effort)
        except UnmadeError as reason:
            unmade.append(reason)
    return trials, unmade


def _trials(check: Check, subject: Subject, effort: Effort) -> list[Trial]:
    """The comparisons for one subject; an exception of the part breaks the law."""
    found: list[Trial] = []
    try:
        if isinstance(subject.made, Exception):
            raise subject.made
        found.extend(check.trials(subject.made, effort))
    except UnmadeError:
        if not found:
            raise
    except Exception as error:  # foreign code may raise anything: that is a finding
        found.append(Trial(_raised(error), kept=False))
    return [replace(trial, text=f"{trial.text} ({subject.title})") for trial in found]


def _raised(error: Exception) -> str:
    """What was raised, and where."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"it raised {type(error).__name__}: {' '.join(str(error).split())[:500]}, in {Path(place.filename).name}:{place.lineno}"


def judged(check: Check, yielded: Sequence[Trial], known: str | None, level: float, seconds: float = 0.0) -> Finding:
    """The finding of a check's comparisons, of which those with chance share the level (Bonferroni). A check that compared nothing fails."""
    trials = [trial for trial in yielded if not trial.is_remark]
    chances = [trial for trial in trials if trial.p is not None]
    each = level / len(chances) if chances else None
    broken = [_told(trial) for trial in trials if not (trial.kept if trial.p is None else trial.p >= (each or 0))]
    broken = broken if trials else ["nothing was compared"]
    status, reason = ("failed" if broken else "passed"), ""
    if known is not None:
        status, reason = ("known deviation" if broken else "unexpected pass"), known
    sharpest = min(chances, key=lambda trial: trial.p if trial.p is not None else 1.0, default=None)
    return Finding(
        check.name,
        status,  # type: ignore[arg-type]  # mypy does not see that the two texts are literals
        check.law,
        check.cause,
        comparisons=len(trials),
        false_alarm=level if chances else 0.0,
        level=each,
        smallest_p=None if sharpest is None else sharpest.p,
        finds="" if sharpest is None or sharpest.resolution is None else sharpest.resolution(len(chances)),
        broken=broken,
        reason=reason,
        remarks=[trial.text for trial in yielded if trial.is_remark],
        seconds=seconds,
    )


def _told(trial: Trial) -> str:
    return trial.text if trial.p is None else f"{trial.text}, p = {trial.p:.1e}"

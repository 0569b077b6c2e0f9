"""An evaluation that is asked for by its name and options, checked: which runs it applies to, and its id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from latentbench.errors import UserError, first_problem
from latentbench.evaluation.contract import Evaluation
from latentbench.neutral import without_neutral
from latentbench.part import Assembly, Options, Part
from latentbench.registry import Registry
from latentbench.suites.evaluation_plan import EvaluationPlan, buildable
from latentbench.suites.sweep import EvaluationSpec


@dataclass(frozen=True)
class AskedEvaluation:
    """An evaluation with its options, which says where it applies, and the shares of the training after which it needs the model.

    `building` has the parts that it builds for every run, by setting, with their options.
    """

    part: type[Evaluation]
    options: Options
    plan: EvaluationPlan
    checkpoints: tuple[float, ...]
    building: Mapping[str, tuple[type[Part], Options]] = field(default_factory=dict)

    def left_out(self, assembly: Assembly) -> str | None:
        """Why a run cannot be measured, by what the evaluation says, or a part that it builds; None where it can."""
        return self.part.left_out(assembly, self.options) or next(self._unfit(assembly), None)

    def _unfit(self, assembly: Assembly) -> Iterator[str]:
        for setting, (part, options) in self.building.items():
            changes: dict[str, Any] = {setting: part, "options": {**assembly.options, setting: options}}
            made = replace(assembly, **changes)
            if reason := part.inapplicable(made, options):
                yield f"{setting} '{part.name}', which it builds: {reason}"


def asked_for(spec: EvaluationSpec, registry: Registry) -> AskedEvaluation:
    """The evaluation that a suite, or the command line, asks for.

    Raises:
        MissingPluginError: no loaded plugin provides it or a part that it builds, while some plugin is broken.
        UserError: it or an option is unknown or wrong.
    """
    try:
        part = registry.evaluation(spec.name)
        options = part.options_model.model_validate(dict(spec.options))
    except UserError as error:
        raise error.at(spec.where) from error
    except ValidationError as error:
        problem = first_problem(error, part.options_model, dict(spec.options))
        raise UserError(f"evaluation '{spec.name}': {problem.error()}", where=spec.where) from error
    chosen = without_neutral(part.options_model, options.model_dump(mode="json"))
    try:
        checkpoints = _checkpoints(part, options)
        built = {f"{setting}:{name}": buildable(f"{setting}:{name}", registry) for setting, name, *_ in part.builds(options)}
        building = {str(setting): _with_options(built[f"{setting}:{name}"], *given) for setting, name, *given in part.builds(options) if given}
    except UserError as error:
        raise error.at(f"{spec.where}: evaluation '{spec.name}'") from error
    versions = {key: each.version for key, each in built.items()}
    plan = EvaluationPlan(spec.name, chosen, part.version, _title(spec.name, options), versions)
    return AskedEvaluation(part, options, plan, checkpoints, building)


def _checkpoints(part: type[Evaluation], options: Options) -> tuple[float, ...]:
    """The shares of the training after which it needs the model."""
    shares = part.checkpoints(options)
    if wrong := [share for share in shares if not 0 <= share <= 1]:
        raise UserError(f"it needs the model at the share {wrong[0]:g} of its training, and shares are from 0 to 1")
    return shares


def _with_options(part: type[Part], given: Mapping[str, Any]) -> tuple[type[Part], Options]:
    """A part that an evaluation builds, with its options.

    Raises:
        UserError: they are wrong.
    """
    try:
        return part, part.options_model.model_validate(dict(given))
    except ValidationError as error:
        raise UserError(f"options of '{part.name}': {first_problem(error, part.options_model, dict(given)).error()}") from error


def _title(name: str, options: Options) -> str:
    """An evaluation as people name it: with those of its options that are not at their defaults."""
    chosen = options.model_dump(mode="json", exclude_defaults=True)
    return f"{name}({', '.join(f'{key}={value}' for key, value in chosen.items())})" if chosen else name

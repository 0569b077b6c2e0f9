"""An evaluation that is asked for by its name and options, checked: which runs it applies to, and its id."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from latentbench.errors import UserError, first_problem
from latentbench.evaluation.contract import Evaluation
from latentbench.neutral import without_neutral
from latentbench.part import Options
from latentbench.registry import Registry
from latentbench.suites.evaluation_plan import EvaluationPlan, buildable
from latentbench.suites.sweep import EvaluationSpec


@dataclass(frozen=True)
class AskedEvaluation:
    """An evaluation with its options, which says where it applies, and the shares of the training after which it needs the model."""

    part: type[Evaluation]
    options: Options
    plan: EvaluationPlan
    checkpoints: tuple[float, ...]


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
    builds, checkpoints = _needs(spec, part, options, registry)
    return AskedEvaluation(part, options, EvaluationPlan(spec.name, chosen, part.version, _title(spec.name, options), builds), checkpoints)


def _needs(spec: EvaluationSpec, part: type[Evaluation], options: Options, registry: Registry) -> tuple[dict[str, str], tuple[float, ...]]:
    """What an evaluation declares that it needs: the parts that it builds with their versions, and the shares of the training."""
    checkpoints = part.checkpoints(options)
    try:
        if wrong := [share for share in checkpoints if not 0 <= share <= 1]:
            raise UserError(f"it needs the model at the share {wrong[0]:g} of its training, and shares are from 0 to 1")
        built = (f"{kind}:{name}" for kind, name in part.builds(options))
        return {key: buildable(key, registry).version for key in built}, checkpoints
    except UserError as error:
        raise error.at(f"{spec.where}: evaluation '{spec.name}'") from error


def _title(name: str, options: Options) -> str:
    """An evaluation as people name it: with those of its options that are not at their defaults."""
    chosen = options.model_dump(mode="json", exclude_defaults=True)
    return f"{name}({', '.join(f'{key}={value}' for key, value in chosen.items())})" if chosen else name

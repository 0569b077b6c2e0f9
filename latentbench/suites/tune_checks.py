"""The section `tune` of a suite, held against the parts that there are, while nothing has run yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from latentbench.errors import MissingPluginError, UserError, nearest
from latentbench.models.family import Family
from latentbench.part import Assembly
from latentbench.registry import Registry
from latentbench.suites.asked_evaluation import AskedEvaluation, asked_for
from latentbench.suites.resolve import unknown_option
from latentbench.suites.tune import Tuning


def check_tuning(tuning: Tuning, registry: Registry) -> None:
    """Refuse a section that could tune nothing; evaluations of broken plugins are passed over.

    Raises:
        UserError: an option that no part has, or as `measuring`.
    """
    for key, where in [*((name, tuning.where("models")) for name in tuning.models), *((key, tuning.where(key)) for key in tuning.space)]:
        if unknown := unknown_option(key, registry):
            raise UserError(unknown, where=where)
    try:
        measuring(tuning, registry)
    except MissingPluginError:
        return


def measuring(tuning: Tuning, registry: Registry) -> AskedEvaluation:
    """The one evaluation of a section that measures its metric.

    Raises:
        MissingPluginError: no loaded plugin provides an evaluation, while some plugin is broken.
        UserError: an evaluation is unknown or wrong, or measures the test split; or the metric is not declared, has no direction, is measured by none
            or several of them, or has an index that the section does not name.
    """
    asked = [asked_for(spec, registry) for spec in tuning.evaluations]
    for spec, evaluation in zip(tuning.evaluations, asked, strict=True):
        if "test" in evaluation.part.splits(evaluation.options):
            raise UserError(f"{evaluation.plan} measures the test split, which is for the report alone; tune on validation", where=spec.where)
    better(tuning, registry)
    costs = {name for family in registry.parts["families"].values() for name in cast("type[Family]", family).measures}
    metric, where = tuning.metric, tuning.where("metric")
    found = [one for one in asked if metric in one.part.metrics or (one.part.reports_costs and metric in costs)]
    if len(found) != 1:
        which = f"by {len(found)} of" if found else "by none of"
        raise UserError(f"metric '{metric}' is measured {which} {', '.join(str(one.plan) for one in asked)}; tuning needs one", where=where)
    return found[0]


def check_splits(tuning: Tuning, registry: Registry, assemblies: Iterable[Assembly]) -> None:
    """Refuse evaluations that measure every split where they name none, for runs whose data have a test split.

    Raises:
        UserError: there is one, or as `measuring`.
    """
    tested = next((assembly.dataset.name for assembly in assemblies if assembly.dataset.has_test), None)
    for spec in tuning.evaluations if tested else ():
        asked = asked_for(spec, registry)
        if "split" in asked.part.options_model.model_fields and not asked.part.splits(asked.options):
            raise UserError(
                f"{asked.plan} names no split, and so measures the test split of '{tested}', which is for the report alone; "
                f"write {{{spec.name}: {{split: validation}}}}",
                where=spec.where,
            )


def better(tuning: Tuning, registry: Registry) -> str:
    """Whether `lower` or `higher` values of the metric are better.

    Raises:
        UserError: nothing declares it, it has no direction, or it has an index that the section does not name, or none and the section names one.
    """
    metric, declared = tuning.metric, registry.declarations()
    where = tuning.where("metric")
    if metric not in declared:
        raise UserError(f"no evaluation or family declares the metric '{metric}'{nearest(metric, declared)}", where=where)
    measure = declared[metric]
    if measure.better is None:
        raise UserError(f"metric '{metric}' declares no direction that is better, so nothing can be tuned for it", where=where)
    if measure.index is None and tuning.index is not None:
        raise UserError(f"metric '{metric}' has no index, got {tuning.index:g}", where=tuning.where("index"))
    if measure.index is not None and tuning.index is None:
        raise UserError(f"metric '{metric}' has an index, {measure.index}: say which with `index`", where=where)
    return measure.better

"""An evaluation depends on the model, the named split and its own stream alone, and leaves everything as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from latentbench.testing.evaluations.entries import DATA, Entry, differing, entries, equal
from latentbench.testing.evaluations.subject import EvaluationSubject
from latentbench.testing.law import Effort, Trial, check, holds


@check(
    "all randomness comes from the generator that evaluate is given: equal generators give equal results under any global seed, and no global state "
    "changes",
    "`torch.randperm`, `np.random` or a solver's random_state without the generator",
)
def stream(subject: EvaluationSubject, effort: Effort) -> Iterator[Trial]:
    """Two evaluations of equal models, under other global seeds."""
    for bench in subject.benches:
        yield equal(
            entries(bench.first.outcome), entries(bench.measured(bench.trained(), seed=2).outcome), f"under another global seed ({bench.title})"
        )
        changed = bench.first.changed
        yield holds(f"{bench.title}: evaluate changed {', '.join(changed) or 'nothing'}", not changed)


@check(
    "results do not depend on what was measured before, and a second call gives the same",
    "state that the evaluation keeps, or codes that are drawn from the evaluation's own stream in place of `trained.codes`",
)
def order(subject: EvaluationSubject, effort: Effort) -> Iterator[Trial]:
    """A model whose codes were computed, twice, against one that nothing was measured on."""
    for bench in subject.benches:
        for found, how in ((bench.twice.first, "after the codes of every split were computed"), (bench.twice.second, "at the second call")):
            yield equal(entries(bench.first.outcome), entries(found.outcome), f"{how} ({bench.title})")


@check(
    "parameters, buffers, gradients and the mode of every module are after an evaluation as they were before",
    "`model.train()`, training steps on the trained model in place of a copy, or `backward` without clearing gradients",
)
def model(subject: EvaluationSubject, effort: Effort) -> Iterator[Trial]:
    """The trained model before and after."""
    for bench in subject.benches:
        tensors, flags = bench.first.tensors, bench.first.flags
        yield holds(f"{bench.title}: it changed {', '.join(tensors[:5]) or 'no parameter or buffer'}", not tensors)
        yield holds(f"{bench.title}: it changed {', '.join(flags[:5]) or 'no mode or gradient'}", not flags)


@check(
    "images, labels and the codes that evaluations share are after an evaluation as they were before",
    "an operation in place, as `codes.mean.sub_(...)`",
)
def data(subject: EvaluationSubject, effort: Effort) -> Iterator[Trial]:
    """Data and codes before and after."""
    for bench in subject.benches:
        changed = bench.twice.data
        yield holds(f"{bench.title}: it changed {', '.join(changed[:5]) or 'nothing'}", not changed)


@check(
    "results are those of the split that the options name: they carry its name, other images there change them, and other images in validation or "
    "test do not where these are not named",
    "`validation` in the code where the option belongs, or numbers of a split under another's name",
)
def split(subject: EvaluationSubject, effort: Effort) -> Iterator[Trial]:
    """Evaluations of data with other images in one split."""
    named = subject.part.splits(subject.options)
    compared = [name for name in DATA if name != "train" or name in named]
    moved: Counter[str] = Counter()
    for bench in subject.benches:
        found = entries(bench.first.outcome)
        carried = {entry.split for entry in found.values() if entry.split is not None}
        if named:
            foreign = sorted(carried & {"validation", "test"} - set(named))
            yield holds(
                f"{bench.title}: asked for {', '.join(named)}, results of {', '.join(sorted(carried))}", carried >= set(named) and not foreign
            )
        for name in compared:
            other = entries(bench.measured(bench.trained(bench.replaced(name))).outcome)
            moved[name] += len(differing(found, other))
            if name != "train":  # on which a readout may be fitted
                yield _untouched(bench.title, name, named, found, other)
    for name in named:  # a coarse number may be the same for one model
        yield holds(f"other {name} images change {moved[name]} entries in {len(subject.benches)} models", moved[name] > 0)


def _untouched(title: str, name: str, named: tuple[str, ...], found: Mapping[str, Entry], other: Mapping[str, Entry]) -> Trial:
    """Whether other images in a split change entries of that split alone, and nothing where it is not measured."""
    owner = {key: entry.split if entry.split in DATA else None for key, entry in {**other, **found}.items()}
    touched = name in named or name in owner.values()
    free = [key for key in differing(found, other) if owner[key] != name and (owner[key] is not None or not touched)]
    return holds(f"{title}: other {name} images change {', '.join(free[:3]) or 'nothing'} of other splits", not free)

"""Loading a data set gives the same images, whatever else happens in the process and in the cache."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from latentbench.data.dataset import DataSet, Splits
from latentbench.testing.ambient import watched
from latentbench.testing.datasets.subject import DataSetSubject
from latentbench.testing.law import Effort, Trial, check, holds


def compared(one: Splits, other: Splits, how: str) -> Iterator[Trial]:
    """Whether two loads gave the same, split by split; `how` says when the second was made."""
    left, right = dict(one.items()), dict(other.items())
    yield holds(f"splits {', '.join(left)} and {', '.join(right)} {how}", left.keys() == right.keys())
    for name in left.keys() & right.keys():
        a, b = left[name], right[name]
        if a.images.shape != b.images.shape:
            yield holds(f"{name}: images {list(a.images.shape)} and {list(b.images.shape)} {how}", False)
            continue
        changed = int((a.images != b.images).flatten(1).any(1).sum())
        yield holds(f"{name}: {changed} of {len(a.images)} images differ {how}", changed == 0)
        if a.labels is not None and b.labels is not None:
            yield _equal(f"{name}: labels", a.labels, b.labels, how)
        if a.causes is not None and b.causes is not None:
            yield _equal(f"{name}: causes", a.causes, b.causes, how)
    if one.dictionary is not None and other.dictionary is not None:
        yield _equal("the dictionary", one.dictionary, other.dictionary, how)


def _equal(what: str, one: Tensor, other: Tensor, how: str) -> Trial:
    same = torch.equal(one, other)
    return holds(f"{what}: {'no number differs' if same else 'numbers differ'} {how}", same)


@check(
    "load is a function of the files and the options: the same images, in the same order, with and without `prepare`, whatever the global generators",
    "shuffling or cropping by a global generator, or by the order of a set or a folder; `prepare` that makes other images than `load`",
)
def deterministic(subject: DataSetSubject, effort: Effort) -> Iterator[Trial]:
    """Two loads into empty caches, under other global seeds."""
    yield from compared(subject.splits, subject.prepared(2), "in another empty cache, prepared under another global seed")


@check(
    "what comes from a cache folder is what is made without: whether these options filled it before, or others did",
    "a cache key without the options, or images that are finished before they are cached and again afterwards",
)
def cached(subject: DataSetSubject, effort: Effort) -> Iterator[Trial]:
    """A load from the filled cache, and one from a cache that the defaults have filled before."""
    yield from compared(subject.splits, subject.load_again(subject.made()), "from the cache")
    if not subject.plain:
        found = subject.made().load(Path(subject.shared.name))
        yield from compared(subject.splits, found, "from a cache that holds those of the defaults")


@check("loading changes no global state", "`torch.manual_seed`, `np.random.seed`, or a draw from a global generator")
def stateless(subject: DataSetSubject, effort: Effort) -> Iterator[Trial]:
    """The generators and settings of the process before and after."""
    changed = subject.first.changed
    yield holds(f"load changed {', '.join(changed) or 'nothing'}", not changed)


@check(
    "sources maps names to hashes; another call, of another instance, under another global seed, gives the same, in less than a second",
    "a hash of the time or of a path, or of files that are read whole at each call where their published hashes are known",
)
def sources(subject: DataSetSubject, effort: Effort) -> Iterator[Trial]:
    """Two calls, and the processor time of the faster one."""
    calls = []
    for seed in (1, 2):
        with watched(seed) as changed:
            calls.append(_timed(subject.made()))
        yield holds(f"sources changed {', '.join(changed) or 'nothing'} of the global state", not changed)
    (one, seconds), (other, again) = calls
    texts = all(isinstance(text, str) and text for pair in one.items() for text in pair)
    yield holds(f"{len(one)} names with hashes, all of them texts", texts)
    differing = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    yield holds(f"hashes that differ between two calls: {', '.join(differing[:5]) or 'none'}", not differing)
    yield holds(f"it took {min(seconds, again):.2f} s of the processor", min(seconds, again) < 1)


def _timed(dataset: DataSet) -> tuple[dict[str, str], float]:
    start = time.process_time()
    return dict(dataset.sources()), time.process_time() - start

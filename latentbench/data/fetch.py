"""The source files of data sets on this machine: list, fetch and verify them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from latentbench.data.dataset import DataSet, Progress
from latentbench.errors import UserError
from latentbench.files import cache_folder


def listing(datasets: Iterable[type[DataSet]]) -> list[tuple[str, ...]]:
    """Name, shape of an item, pixels, labels, options, protocols and source files with their folders, of every data set by default."""
    return [_described(part(), cache_folder()) for part in datasets]


def _described(dataset: DataSet, cache: Path) -> tuple[str, ...]:
    shape, options = "x".join(map(str, dataset.data_shape)), ", ".join(dataset.options_model.model_fields)
    words = (dataset.name, shape, dataset.pixels, "yes" if dataset.labelled else "no", options, ", ".join(sorted(dataset.protocols)))
    if not dataset.files:
        return (*words, "installed with a package")
    found = [source.find(cache) for source in dataset.files]
    places = sorted({_folder(path, source.forms) for path, source in zip(found, dataset.files, strict=True) if path is not None})
    missing = found.count(None)
    state = f"{len(found) - missing} of {len(found)} files in {', '.join(places)}" if places else f"0 of {len(found)} files"
    return (*words, state if not missing else f"{state}; `latentbench data fetch {dataset.name}`")


def _folder(path: Path, forms: Iterable[str]) -> str:
    """The data folder that a found file lies in."""
    form = next(name for name in forms if path.as_posix().endswith(name))
    return path.as_posix().removesuffix(form).rstrip("/")


def prepare(datasets: Iterable[DataSet]) -> None:
    """Find or download, check and prepare the files of every data set, with a bar on a terminal and plain lines in a log.

    Raises:
        UserError: a file is missing and cannot be downloaded, or is wrong.
    """
    for part in datasets:
        with _shown(part.name) as progress, _one_thread():
            part.prepare(cache_folder(), progress)


def verify(datasets: Iterable[type[DataSet]], complete: bool) -> Iterator[tuple[str, str]]:
    """Compare the hash of every source file that is there; yields data set and outcome. Downloads nothing.

    Raises:
        UserError: at the end, files are wrong, or with `complete` missing.
    """
    cache, problems = cache_folder(), []
    for part in datasets:
        missing, wrong = 0, 0
        for source in part.files:
            if source.find(cache) is None:
                missing += 1
                continue
            try:
                source.read(cache)
            except UserError as error:
                wrong += 1
                problems.append(str(error))
        right = len(part.files) - missing - wrong
        counts = [f"{n} {word}" for n, word in ((right, "right"), (wrong, "wrong"), (missing, "missing")) if n]
        yield part.name, ", ".join(counts) or "no files of its own"
        if missing and complete:
            problems.append(f"data set {part.name}: {missing} of {len(part.files)} files are missing; `latentbench data fetch {part.name}` gets them")
    if problems:
        raise UserError("\n".join(problems))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Chunks of patches gain nothing from threads, and on a busy machine lose much by waiting for them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _shown(name: str) -> Iterator[Progress]:
    """Progress that is shown once preparation takes a while."""
    console = Console(highlight=False)
    if console.is_terminal:
        with Bars(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console, transient=True) as bars:
            task = bars.add_task(f"data set {name}", total=None)
            yield lambda doing, done, total: bars.update(task, description=doing, completed=done, total=total)
        return
    shown: set[int] = set()

    def tell(doing: str, done: int, total: int) -> None:
        quarter = 4 * done // total
        if total > 10 and quarter not in shown:
            console.print(f"preparing {doing}: {done}/{total}", markup=False, soft_wrap=True)
            shown.add(quarter)

    yield tell

"""A data set as its checks see it: loaded into empty cache folders, under global generators of different seeds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from latentbench.data.dataset import DataSet, Splits, silent
from latentbench.files import cache_folder
from latentbench.part import Options
from latentbench.testing.ambient import watched
from latentbench.testing.law import Effort, SkippedError


@dataclass(frozen=True)
class Loaded:
    """The splits of one load, the global state that it has changed, and the folder that it could cache in."""

    splits: Splits
    changed: list[str]
    cache: TemporaryDirectory[str]


@dataclass(frozen=True)
class DataSetSubject:
    """A data set class with options."""

    part: type[DataSet]
    options: Options
    effort: Effort

    def made(self) -> DataSet:
        """A new instance."""
        return self.part(self.options)

    @property
    def plain(self) -> bool:
        """Whether its options are the defaults."""
        return self.options == self.part.options_model()

    @property
    def missing(self) -> str:
        """Which of its source files this machine lacks, as a clause; empty where it lacks none."""
        files = self.made().files
        absent = [source.name for source in files if source.find(cache_folder()) is None]
        if not absent:
            return ""
        return f"{len(absent)} of its {len(files)} files are missing, as {absent[0]}; `latentbench data fetch {self.part.name}` gets them"

    def check_files(self) -> None:
        """Make sure that loading will download nothing.

        Raises:
            SkippedError: a source file is missing.
        """
        if self.missing:
            raise SkippedError(self.missing)

    @cached_property
    def first(self) -> Loaded:
        """What it loads with an empty cache.

        Raises:
            SkippedError: a source file is missing.
        """
        self.check_files()
        folder = empty_cache()
        with watched(1) as changed:
            splits = self.made().load(Path(folder.name))
        return Loaded(splits, changed, folder)

    @property
    def splits(self) -> Splits:
        """The splits of the first load."""
        return self.first.splits

    @cached_property
    def shared(self) -> TemporaryDirectory[str]:
        """A cache folder in which the defaults were prepared, and then these options.

        Raises:
            SkippedError: a source file is missing.
        """
        self.check_files()
        folder = empty_cache()
        for dataset in (self.part(), self.made()):
            dataset.load(Path(folder.name))
        return folder

    def load_again(self, dataset: DataSet) -> Splits:
        """What another instance loads with the cache that the first load has filled."""
        return dataset.load(Path(self.first.cache.name))

    def prepared(self, seed: int) -> Splits:
        """What it loads after `prepare` in another empty cache, under the global `seed`."""
        self.check_files()
        with empty_cache() as name, watched(seed):
            self.made().prepare(Path(name), silent)
            return self.made().load(Path(name))


def empty_cache() -> TemporaryDirectory[str]:
    """A cache folder in which nothing is prepared; source files that this machine's cache holds are found in it."""
    folder, downloads = TemporaryDirectory(prefix="latentbench-check-"), cache_folder() / "data"
    if downloads.is_dir():
        (Path(folder.name) / "data").symlink_to(downloads.resolve(), target_is_directory=True)
    return folder


def subject(part: type[DataSet], options: Options, effort: Effort) -> DataSetSubject:
    """The subject of the checks of data sets."""
    return DataSetSubject(part, options, effort)

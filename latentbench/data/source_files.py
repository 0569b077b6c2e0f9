"""Source files of data sets: found in LATENTBENCH_DATA or in the cache folder, else downloaded; always checked by their content."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from latentbench.errors import UserError
from latentbench.files import write_atomically


@dataclass(frozen=True)
class Source:
    """One published file, in any of the forms that people keep it in.

    `forms` maps a path below the data folder to what reads it there: a function from the file's path to its content in one form that all have in
    common, of which `md5` or `sha256` is the hash: one of them, whichever is published. A reader raises a UserError that says what is wrong with a
    file. `url` is the public home: of the first form, or of a .tar.gz archive to be unpacked into the data folder.
    """

    forms: Mapping[str, Callable[[Path], bytes]]
    md5: str = ""
    url: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        if bool(self.md5) == bool(self.sha256):
            raise ValueError(f"source file {self.name}: give its md5 or its sha256")

    @property
    def digest(self) -> str:
        """The published hash."""
        return self.md5 or self.sha256

    @property
    def name(self) -> str:
        """The path of the first form below the data folder."""
        return next(iter(self.forms))

    def find(self, cache: Path) -> Path | None:
        """The file that would be read, or None where there is none yet."""
        found = self._found(cache)
        return None if found is None else found[0]

    def read(self, cache: Path) -> bytes:
        """The checked content; the file is downloaded first where it is missing.

        Raises:
            UserError: the file is missing and cannot be downloaded, cannot be read, or is not the published one.
        """
        if self.find(cache) is None:
            self._download(cache)
        found = self._found(cache)
        if found is None:
            raise UserError(f"the download of {self.url} does not hold {self.name}")
        path, reader = found
        try:
            content = reader(path)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
        kind = self._kind
        found_digest = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
        if found_digest != self.digest:
            what = f"the {kind} of its content is {found_digest}, expected {self.digest}"
            raise UserError(f"{path} is not the published file: {what}; remove it, or replace it")
        return content

    @property
    def _kind(self) -> str:
        return "md5" if self.md5 else "sha256"

    def _found(self, cache: Path) -> tuple[Path, Callable[[Path], bytes]] | None:
        for folder in data_folders(cache):
            for name, reader in self.forms.items():
                if (folder / name).is_file():
                    return folder / name, reader
        return None

    def _download(self, cache: Path) -> None:
        import pooch

        folder = data_folders(cache)[-1]
        archive = self.url.endswith(".tar.gz")
        pooch.get_logger().setLevel(logging.WARNING)
        downloads = folder / "downloads"
        try:
            path = Path(pooch.retrieve(self.url, known_hash=None, fname=self.url.rpartition("/")[2], path=downloads))
            if archive:
                pooch.Untar(extract_dir=str(folder.resolve()))(str(path), "download", None)
            else:
                write_atomically(folder / self.name, path.read_bytes())
            path.unlink()
        except Exception as error:  # requests, urllib3, tarfile and the disk each have errors of their own
            raise UserError(self._missing(cache, error)) from error

    def _missing(self, cache: Path, error: Exception) -> str:
        places = " or ".join(str(folder / self.name) for folder in data_folders(cache))
        named = "" if os.environ.get("LATENTBENCH_DATA") else ", or set LATENTBENCH_DATA to the folder that has it"
        reason = " ".join(str(error).split())
        what = f"the data file {self.name} ({self._kind} of its content {self.digest}) is missing"
        return f"{what}; put it at {places}{named}, as {self.url} cannot be fetched: {reason}"


def data_folders(cache: Path) -> list[Path]:
    """Where source files may lie: LATENTBENCH_DATA if it is set, then `data` in the cache folder, where downloads go.

    Raises:
        UserError: LATENTBENCH_DATA is set and is not a folder.
    """
    named = os.environ.get("LATENTBENCH_DATA")
    if not named:
        return [cache / "data"]
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise UserError(f"LATENTBENCH_DATA={named} is not a folder; it is to hold mnist/, fashion_mnist/, cifar-10-batches-bin/ and van_hateren/")
    return [folder, cache / "data"]

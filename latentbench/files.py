"""Files that are written whole or not at all; one that cannot be read is an error, never taken for missing."""

import errno
import hashlib
import json
import os
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from latentbench.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
FORBIDDEN = (errno.EACCES, errno.EPERM)


def cache_folder() -> Path:
    """LATENTBENCH_CACHE, or the platform's cache folder for latentbench."""
    from platformdirs import user_cache_path

    named = os.environ.get("LATENTBENCH_CACHE")
    return Path(named).expanduser() if named else user_cache_path("latentbench")


class StoringError(OSError):
    """Nothing can be stored any more, as the disk is full, or a folder has become read-only. Its file name is that of what was to be stored."""


class FolderError(UserError, StoringError):
    """A file or folder that cannot be read, or has gone: the user's to mend, and no failure of a run. `strerror` completes a sentence about it."""

    @property
    def problem(self) -> str:
        """`FILE cannot be read: ...`."""
        return f"{self.filename} {self.strerror}"


def cannot_store(error: BaseException) -> bool:
    """Whether an error says that nothing can be stored any more, which is no failure of the run that was in progress."""
    return isinstance(error, StoringError) or (isinstance(error, OSError) and error.errno in FULL)


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Add `path` to errors raised in this context: errors of writing name no file.

    Raises:
        StoringError: nothing can be stored any more.
        OSError: any other error of files.
    """
    try:
        yield
    except StoringError:
        raise
    except OSError as error:
        kind = StoringError if error.errno in (*FULL, *FORBIDDEN) else OSError
        raise kind(error.errno, error.strerror, str(path)) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn errors raised in this context into one that names `path` and the reason; a missing file stays a FileNotFoundError.

    Raises:
        FileNotFoundError: there is no such file or folder.
        FolderError: it cannot be read, so nothing is known of its content.
    """
    try:
        yield
    except (FileNotFoundError, StoringError):
        raise
    except OSError as error:
        raise FolderError(error.errno, f"cannot be read: {error.strerror or error}", str(path)) from error


def listed(folder: Path, suffix: str = "", hidden: bool = False) -> list[Path]:
    """What a folder holds, in order; nothing where it does not exist. Names that start with a dot are left out, or with `hidden` the only ones.

    Raises:
        FolderError: it cannot be listed. (`Path.glob` would return nothing.)
    """
    try:
        with reading(folder), os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except FileNotFoundError:
        return []
    except FolderError as error:
        if error.errno == errno.ENOTDIR and not os.path.lexists(folder.parent):
            return []  # a file is where a folder above it would be
        raise
    return [folder / name for name in sorted(names) if name.startswith(".") is hidden and name.endswith(suffix)]


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file, open for reading.

    Raises:
        FileNotFoundError: there is no such file.
        FolderError: it cannot be read, or is a folder or a pipe.
    """
    with reading(path), open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise FolderError(errno.EINVAL, "is in the way: it is not a file that can be read; move it away", str(path))
        yield file


def _without_waiting(path: str, flags: int) -> int:
    """Open a pipe at once, and not when another process writes to it. A link to nothing is there, and cannot be opened."""
    try:
        return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError as error:
        if os.path.islink(path):
            raise OSError(errno.ENOLINK, "it is a link to nothing", path) from error
        raise


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        FolderError: it cannot be read.
        ValueError: it is not JSON.
    """
    with opened(path) as file:
        content = file.read()
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("its lists are nested too deeply") from error


def _anyone() -> None:
    """Let any file be replaced or removed."""


def write_atomically(path: Path, content: bytes, check: Callable[[], None] = _anyone) -> None:
    """Write `content` to a temporary name in the same folder and rename it: a reader sees the old file or the new one, never half of one.

    Temporary names start with a dot, so that readers of a folder of fragments pass them over. `check` is called at the last moment before the
    file is replaced, and may raise to forbid that.

    Raises:
        OSError: as `storing`; nothing is left behind under `path`.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with storing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            check()
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def remove(path: Path, check: Callable[[], None] = _anyone) -> None:
    """Remove a file, if it is there. `check` is called before, and may raise to forbid it.

    Raises:
        OSError: as `storing`.
    """
    with storing(path):
        check()
        path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

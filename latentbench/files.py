"""Files that are written whole or not at all."""

import errno
import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
FORBIDDEN = (errno.EACCES, errno.EPERM)


class StoringError(OSError):
    """Nothing can be stored any more, as the disk is full, or a folder has become read-only. Its file name is that of what was to be stored."""


def cannot_store(error: BaseException) -> bool:
    """Whether an error says that nothing can be stored any more, which is no failure of whatever was at work."""
    return isinstance(error, StoringError) or (isinstance(error, OSError) and error.errno in FULL)


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Let errors of what is done here name `path`, as errors of writing name no file.

    Raises:
        StoringError: nothing can be stored any more.
        OSError: any other error of files.
    """
    try:
        yield
    except OSError as error:
        kind = StoringError if error.errno in (*FULL, *FORBIDDEN) else OSError
        raise kind(error.errno, error.strerror, str(path)) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to a temporary name beside `path` and rename it: a reader sees the old file or the new one, never half of one.

    Temporary names start with a dot, so that readers of a folder of fragments pass them over.

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
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        OSError: as `storing`.
    """
    with storing(path):
        path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

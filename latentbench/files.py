"""Files that are written whole or not at all."""

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def is_full(error: BaseException) -> bool:
    """Whether an error says that nothing can be stored any more: the disk is full, or has become read-only."""
    return isinstance(error, OSError) and error.errno in FULL


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to a temporary name beside `path` and rename it: a reader sees the old file or the new one, never half of one.

    Temporary names start with a dot, so that readers of a folder of fragments pass them over.

    Raises:
        OSError: the folder cannot be made or written; nothing is left behind under `path`, which the error names.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # an error of writing names no file
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

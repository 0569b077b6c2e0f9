"""Calls a function in a process of its own, whose memory is then its alone, and whose death costs no more than its answer."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from latentbench.errors import UserError
from latentbench.execution.fork_server import ensure_fork_server
from latentbench.failure import Failure

T = TypeVar("T")
PRELOADED = ["latentbench.execution.cost.measure", "torch._dynamo", "safetensors.torch", "pandas"]
"""What the process that others are forked from imports, once."""


def apart(function: Callable[..., T], *args: Any) -> T:
    """What `function(*args)` returns in a forked process that has torch imported. Its output is lost.

    Raises:
        UserError: it raised something, or its process died; the message is the reason, as a clause.
    """
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    ours, theirs = context.Pipe(duplex=False)
    ensure_fork_server([signal.SIGINT])  # Ctrl-C is for the caller
    process = context.Process(target=_answer, args=(theirs, function, args), daemon=True)
    process.start()
    theirs.close()
    try:
        failed, answer = ours.recv()
    except EOFError:
        process.join()
        raise UserError(f"its process died with exit code {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        ours.close()
    if failed:
        raise UserError(answer)
    result: T = answer
    return result


def _answer(connection: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """What the process does: it sends whether the call failed, and what it returned or why it failed."""
    _silence()
    try:
        answer = False, function(*args)
    except BaseException as error:  # whatever it is, the caller tells it
        answer = True, str(Failure.of(error)) if isinstance(error, Exception) else repr(error)
    with suppress(BrokenPipeError):  # the caller has gone
        connection.send(answer)


def _silence() -> None:
    warnings.simplefilter("ignore")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)

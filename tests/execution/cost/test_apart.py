"""A call in a process of its own: its answer, its failure, and its death."""

import os
import signal
import subprocess
import sys
import time

import pytest

from latentbench.errors import UserError
from latentbench.execution.cost.apart import apart


def test_the_answer_comes_back_from_another_process():
    assert apart(os.getpid) != os.getpid()


def test_what_it_raises_is_told():
    with pytest.raises(UserError, match=r"ValueError: .*'no number'"):
        apart(int, "no number")


def test_its_death_is_told():
    with pytest.raises(UserError, match="died with exit code 7"):
        apart(os._exit, 7)


@pytest.mark.slow
def test_ctrl_c_while_its_server_starts_is_told_by_the_caller_alone(tmp_path):
    code = "import time; from latentbench.execution.cost.apart import apart; print('begins', flush=True); apart(time.sleep, 60)"
    told = tmp_path / "stderr"
    with told.open("w") as stderr:
        caller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True)
    assert caller.stdout.readline() == "begins\n"
    time.sleep(1)  # the server imports torch
    os.killpg(caller.pid, signal.SIGINT)
    assert caller.wait(timeout=60) != 0
    time.sleep(1)  # what the server had to say
    assert told.read_text().count("Traceback") == 1
    assert told.read_text().endswith("KeyboardInterrupt\n")

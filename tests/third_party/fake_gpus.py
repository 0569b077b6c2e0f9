"""GPUs that are not there: runs are sent to them and are executed on the CPU.

LATENTBENCH_TEST_FAKE_GPUS has, as JSON, `count` (where CUDA_VISIBLE_DEVICES does not say), and, to try memory, `folder`, `capacity`, the bytes that
a run `claims` and those that it `needs`: a run that finds no room for what it needs runs out of memory.
"""

import json
import os
from pathlib import Path

import torch
from latentbench_local import processes
from latentbench_local.messages import Memory

settings = json.loads(os.environ["LATENTBENCH_TEST_FAKE_GPUS"])
real_use, real_execute = processes.use, processes.execute


def device_count():
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return len(visible.split(",")) if visible else settings.get("count", 0)


def use(device):
    real_use(device)
    return "cpu"


def memory(device):
    return Memory(settings["claims"], settings["capacity"]) if "claims" in settings else None


def execute(*args, **kwargs):
    """Execute if there is room; the process's place is a file that others count."""
    folder = Path(settings["folder"]) / os.environ["CUDA_VISIBLE_DEVICES"]
    folder.mkdir(parents=True, exist_ok=True)
    mine = folder / str(os.getpid())
    mine.touch()
    try:
        runs = len(list(folder.iterdir()))
        with (Path(settings["folder"]) / "most").open("a") as file:
            file.write(f"{runs}\n")
        if runs * settings["needs"] > settings["capacity"]:
            raise torch.cuda.OutOfMemoryError("no room")
        return real_execute(*args, **kwargs)
    finally:
        mine.unlink()


torch.cuda.device_count = device_count
processes.use, processes.memory = use, memory
if "folder" in settings:
    processes.execute = execute

"""Training steps on the device `meta`, which has shapes and no numbers: what needs a number of the device fails there, as it would wait on CUDA."""

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from latentbench.blocks.arrivals import ArrivalCap
from latentbench.data.dataset import Split
from latentbench.models.model import build_model
from latentbench.models.sparse_coding import SparseCoder
from latentbench.suites.resolve import assemble
from latentbench.training import train as training
from latentbench.training.state import TrainingState, make_optimizer

META = torch.device("meta")
ASKS_THE_DEVICE = {"bincount", "normal", "linalg_eigh", "_linalg_eigh", "linalg_eig", "_linalg_svd", "_linalg_check_errors", "one_hot"}
"""Operations that wait on CUDA (for a check of their arguments, or for a size), and have an answer on `meta`."""


class WaitError(Exception):
    """The host would wait for the device."""


class NoWaits(TorchDispatchMode):
    """Refuses operations that wait on CUDA, beyond those that `meta` itself refuses."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.name().removeprefix("aten::").partition(".")[0]
        tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)]
        on_device = any(x.device == META for x in tensors)
        if name in ASKS_THE_DEVICE and on_device and (name != "normal" or len(tensors) > 1 or "Tensor" in func.name()):
            raise WaitError(f"{func.name()} waits for the device")
        to_device = kwargs.get("device") == META or (name == "copy_" and on_device)
        if name in ("_to_copy", "copy_") and to_device and any(x.device != META for x in tensors) and not kwargs.get("non_blocking"):
            raise WaitError(f"{func.name()} copies to the device, and waits for that")
        return func(*args, **kwargs)


class NoNewTensors(TorchFunctionMode):
    """Refuses tensors that are made of Python's numbers on the device: a copy from the host, which waits. `torch.full` does not."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and torch.device(kwargs.get("device") or "cpu") == META:
            raise WaitError(f"torch.{func.__name__} copies to the device, and waits for that")
        return func(*args, **kwargs)


def steps_without_numbers(planned, registry, monkeypatch, steps=3):
    """Take training steps of a run on `meta`, its first batch and the start of its epoch behind it.

    Raises where the host would wait for the device.
    """
    run = planned.run
    assembly = assemble(run, registry)
    model = build_model(assembly, run.seed, "cpu", torch.float32).to(META)
    monkeypatch.setattr(training, "guarded", lambda model: model)  # the guards of the first batch read numbers
    model.family.begin_epoch = lambda epoch, epochs: None  # so may the start of an epoch
    if isinstance(model.family, SparseCoder):
        model.family._read = model.family.l1, model.family.l1._version, 0.1
    for cap in (module for module in model.modules() if isinstance(module, ArrivalCap)):
        cap._peak, cap._n_exp = 5.0, 14
    state = TrainingState(model, make_optimizer(model, run.train_settings), torch.Generator())
    loop = training.train(state, Split(torch.empty(10**4, *assembly.data_shape, device=META)), run)
    next(loop)
    with NoWaits(), NoNewTensors():
        for _ in range(steps):
            next(loop)
    return state

"""`LCAConv1D`: its arguments and their defaults, what it checks, what it leaves behind, and its trajectory, in NumPy for kernels of length 1."""

import os

import numpy as np
import torch
import yaml
from torch import nn

KNOWN = {"inputs", "input_drives", "states", "acts", "recons", "recon_errors", "conns"}
SUPPORTED = {"kernel_size": 1, "stride": 1, "track_metrics": False, "return_all_ts": False, "transfer_func": "soft_threshold"}


class LCAConv1D(nn.Module):
    def __init__(
        self,
        out_neurons,
        in_neurons,
        result_dir="./lca_results",
        kernel_size=7,
        stride=1,
        lambda_=0.25,
        tau=100,
        eta=0.01,
        lca_iters=1000,
        pad="same",
        return_vars=("acts",),
        return_all_ts=False,
        nonneg=True,
        track_metrics=False,
        transfer_func="soft_threshold",
        input_zero_mean=True,
        input_unit_var=True,
        cudnn_benchmark=True,
        d_update_clip=np.inf,
        lr_schedule=None,
        req_grad=False,
        weight_init=(nn.init.trunc_normal_, {}),
        no_time_pad=False,
    ):
        settings = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__()
        self.settings = settings
        for name, value in SUPPORTED.items():
            if settings[name] != value:
                raise NotImplementedError(f"the stand-in has {name}={value!r} alone, got {settings[name]!r}")
        if not set(return_vars) <= KNOWN:
            raise ValueError(f"Invalid value in return_vars: {return_vars}")
        os.makedirs(result_dir, exist_ok=True)
        with open(os.path.join(result_dir, "params.yaml"), "w") as file:
            yaml.dump({name: value for name, value in settings.items() if isinstance(value, (bool, int, float, str))}, file)
        initialise, options = weight_init
        self.weights = nn.Parameter(initialise(torch.empty(out_neurons, in_neurons, kernel_size), **options), requires_grad=req_grad)
        self._normalise()
        if cudnn_benchmark and torch.backends.cudnn.enabled:
            torch.backends.cudnn.benchmark = True

    def assign_weight_values(self, tensor, normalize=True):
        for what in ("shape", "dtype"):
            if getattr(tensor, what) != getattr(self.weights, what):
                raise RuntimeError(f"Expected {what} {getattr(self.weights, what)} for tensor weights, but got {getattr(tensor, what)}.")
        with torch.no_grad():
            self.weights.copy_(tensor)
        if normalize:
            self._normalise()

    def forward(self, inputs, drive_scaling=None, initial_states=None):
        if inputs.ndim != 3:
            raise RuntimeError(f"Expected 3D inputs, but got {inputs.ndim}D inputs.")
        if inputs.dtype != self.weights.dtype:
            raise RuntimeError(f"Input type ({inputs.dtype}) and weight type ({self.weights.dtype}) should be the same")
        if drive_scaling is not None or initial_states is not None:
            raise NotImplementedError("the stand-in starts from 0, with the drive as it is")
        x = inputs.detach()[:, :, 0].cpu().numpy()  # [B, M]
        if self.settings["input_zero_mean"]:
            x = x - x.mean(1, keepdims=True)
        if self.settings["input_unit_var"]:
            x = x / x.std(1, keepdims=True)
        w = self.weights.detach()[:, :, 0].cpu().numpy()  # [K, M]
        found = {"inputs": x, **_compete(x, w, *(self.settings[name] for name in ("lca_iters", "tau", "lambda_", "nonneg")))}
        chosen = [torch.from_numpy(found[name].astype(x.dtype)).to(inputs.device)[:, :, None] for name in self.settings["return_vars"]]
        return chosen[0] if len(chosen) == 1 else tuple(chosen)

    def _normalise(self):
        with torch.no_grad():
            self.weights /= self.weights.flatten(1).norm(dim=1)[:, None, None] + 1e-12


def _compete(x, w, iterations, tau, threshold, nonneg):
    """Every iteration takes activations of the potentials, and then moves these; activations are those of the last one."""
    drives = x @ w.T
    inhibits = w @ w.T
    np.fill_diagonal(inhibits, 0)  # no neuron inhibits itself
    potentials = np.zeros_like(drives)
    for _ in range(iterations):
        over, under = np.maximum(potentials - threshold, 0), np.maximum(-potentials - threshold, 0)
        activations = over if nonneg else over - under
        potentials = potentials + (drives - potentials - activations @ inhibits) / tau
    recons = activations @ w
    return {"input_drives": drives, "states": potentials, "acts": activations, "recons": recons, "recon_errors": x - recons, "conns": inhibits}

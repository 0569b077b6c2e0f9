"""The published ways of working, written plainly from the paper's text: what ours is measured against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Exponential, Normal, kl_divergence
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


def algorithm_1(rate: Tensor, n_exp: int, temperature: float) -> Tensor:
    """Algorithm 1 of the paper, line by line: n_exp waiting times for every element at once, [n_exp, B, K], under autograd."""
    waiting = Exponential(rate).rsample((n_exp,))
    times = torch.cumsum(waiting, dim=0)
    z: Tensor = torch.sigmoid((1 - times) / temperature).sum(dim=0)
    return z


def poisson_steps(images: Tensor, k: int, batch: int, n_exp: int, temperature: float, device: str = "cpu") -> Iterator[float]:
    """Training steps of a Poisson <lin|lin> VAE (eq. 3), Adamax, gradient clipping, its loss read at every step; batches go to the device."""
    encoder, decoder = nn.Linear(images.shape[1], k, bias=False), nn.Linear(k, images.shape[1], bias=False)
    for layer in (encoder, decoder):
        nn.init.normal_(layer.weight, std=0.05)
    encoder, decoder = encoder.to(device), decoder.to(device)
    log_r = nn.Parameter(torch.empty(k).uniform_(-6, -4).to(device))
    parameters = [*encoder.parameters(), *decoder.parameters(), log_r]

    def loss_of(x: Tensor) -> Any:
        log_dr = encoder(x)
        rate = torch.exp(log_r + log_dr)
        z = algorithm_1(rate, n_exp, temperature)
        kl = torch.exp(log_r) * (1 + torch.exp(log_dr) * (log_dr - 1))
        return ((x - decoder(z)).square().sum(1) + kl.sum(1)).mean()

    yield from _steps(images, batch, parameters, loss_of)


def gaussian_steps(images: Tensor, k: int, batch: int, device: str = "cpu") -> Iterator[float]:
    """Training steps of a Gaussian <lin|lin> VAE, likewise."""
    encoder, decoder = nn.Linear(images.shape[1], 2 * k, bias=False), nn.Linear(k, images.shape[1], bias=False)
    for layer in (encoder, decoder):
        nn.init.normal_(layer.weight, std=0.05)
    encoder, decoder = encoder.to(device), decoder.to(device)
    prior = Normal(torch.zeros(k, device=device), torch.ones(k, device=device))

    def loss_of(x: Tensor) -> Any:
        loc, log_scale = encoder(x).chunk(2, dim=1)
        posterior = Normal(loc, torch.exp(5.3 * torch.tanh(log_scale / 5.3)))
        return ((x - decoder(posterior.rsample())).square().sum(1) + kl_divergence(posterior, prior).sum(1)).mean()

    yield from _steps(images, batch, [*encoder.parameters(), *decoder.parameters()], loss_of)


def lca_as_convolutions(images: Tensor, dictionary: Tensor, l1: float, iterations: int, tau: float) -> Tensor:
    """LCA as lca-pytorch has it: images [B, M, 1, 1, 1], all products convolutions in three dimensions, new tensors at every step.

    The codes are those of the last iteration, before its step.
    """
    weights = dictionary.T[:, :, None, None, None]  # [K, M, 1, 1, 1]
    inputs = images[:, :, None, None, None]
    drive = F.conv3d(inputs, weights)
    connectivity = F.conv3d(weights, weights)  # [K, K, 1, 1, 1]
    states = torch.zeros_like(drive)
    for _ in range(iterations):
        acts = F.relu(states - l1)
        inhibition = F.conv3d(acts, connectivity)
        states = states + (1 / tau) * (drive - states - inhibition + acts)
    return acts.flatten(1)


def _steps(images: Tensor, batch: int, parameters: list[nn.Parameter], loss_of: Callable[[Tensor], Any]) -> Iterator[float]:
    optimizer = torch.optim.Adamax(parameters, lr=0.005, foreach=False)
    loader = DataLoader(TensorDataset(images), batch_size=batch, shuffle=True, drop_last=True)
    while True:
        for (x,) in loader:
            optimizer.zero_grad()
            loss = loss_of(x.to(parameters[0].device))
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 500)
            optimizer.step()
            yield loss.item()

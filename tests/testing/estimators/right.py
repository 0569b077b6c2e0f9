"""Correct estimators by other papers, which must pass every check; wrong ones are derived from them."""

import math

import torch
from torch import nn

from latentbench.api import Estimator, Loss, Options


class SamplesOptions(Options):
    samples: int = 4


class Scored(Estimator):
    """Several samples an image, each scored by its loss less a baseline; a subclass says which baseline."""

    options_model = SamplesOptions
    ignores = frozenset({"training.temperature_*"})

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.samples = options.samples

    def costs(self, step, z):
        return step.reconstruction(z), step.kl()

    def signal(self, step, cost):
        """What a sample's score is multiplied by [S, B]."""
        raise NotImplementedError

    def loss(self, step):
        z = step.sample(self.samples)  # [S, B, K]
        cost, kl = self.costs(step, z)
        score = self.signal(step, cost.detach()) * step.log_q(z)
        surrogate = ((cost + score).mean(0) + step.beta * kl).mean()
        return Loss(surrogate, {"reconstruction": cost.mean(0).detach(), "kl": kl.detach()})


class Rloo(Scored):
    """Each sample's baseline is the mean of the others (Kool et al. 2019)."""

    name = "rloo"

    def signal(self, step, cost):
        return cost - (cost.sum(0) - cost) / (self.samples - 1)


class GeometricOthers(Scored):
    """Each sample's baseline is the logarithm of the others' mean likelihood, as in VIMCO (Mnih and Rezende 2016, eq. 9)."""

    name = "geometric_others"

    def signal(self, step, cost):
        own = torch.eye(len(cost), dtype=torch.bool, device=cost.device)[:, :, None]
        others = (-cost).expand(len(cost), *cost.shape).masked_fill(own, -math.inf).logsumexp(1)
        return cost + others - math.log(self.samples - 1)


class Reinforce(Scored):
    """A baseline that is learned from the image (Williams 1992; Mnih and Gregor 2014)."""

    name = "reinforce"

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.baseline = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(assembly.data_shape), 1))

    def signal(self, step, cost):
        return cost - self.baseline(step.images).squeeze(1).detach()

    def loss(self, step):
        found = super().loss(step)
        error = (found.reported["reconstruction"] - self.baseline(step.images).squeeze(1)).square().mean()
        return Loss(found.surrogate + error, found.reported)


class Running(Scored):
    """A running mean of past losses as the baseline, in a buffer."""

    name = "running"

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.register_buffer("average", torch.zeros(()))

    def signal(self, step, cost):
        advantage = cost - self.average
        self.average = 0.9 * self.average + 0.1 * cost.mean()
        return advantage


class BatchOthers(Scored):
    """One sample an image; the mean loss of the other images is its baseline, and 0 where there are none."""

    name = "batch_others"

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.samples = 1

    def signal(self, step, cost):
        return cost - (cost.sum(1, keepdim=True) - cost) / max(cost.shape[1] - 1, 1)


class Vimco(Scored):
    """VIMCO: the gradient of the importance-weighted bound of S samples, -ln 1/S sum_s e^(-cost_s - beta (ln q - ln p)) (Mnih and Rezende 2016)."""

    name = "vimco"
    deviations = dict.fromkeys(("gradient", "discrete_gradient"), "its loss is the importance-weighted bound of several samples, not the ELBO")

    def loss(self, step):
        z = step.sample(self.samples)
        cost, kl, log_q = step.reconstruction(z), step.kl(), step.log_q(z)
        log_weight = -cost - step.beta * (log_q - step.log_p(z))  # [S, B]
        bound = log_weight.logsumexp(0) - math.log(self.samples)
        weight = log_weight.detach()
        mean_of_others = (weight.sum(0) - weight) / (self.samples - 1)
        own = torch.eye(self.samples, dtype=torch.bool, device=z.device)[:, :, None]
        replaced = torch.where(own, mean_of_others[None], weight[None]).logsumexp(1) - math.log(self.samples)  # [S, B]
        surrogate = -bound - ((bound.detach() - replaced) * log_q).sum(0)
        return Loss(surrogate.mean(), {"reconstruction": cost.mean(0).detach(), "kl": kl.detach()})


RIGHT = [Rloo, GeometricOthers, Reinforce, Running, BatchOthers, Vimco]

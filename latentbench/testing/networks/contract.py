"""What encoders and decoders give: shapes, types, finite numbers, rows of their own, and what `linear` promises."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from latentbench.models.network import dictionary_of
from latentbench.testing.law import Effort, InapplicableError, Trial, check, holds
from latentbench.testing.networks.subject import Case, NetworkSubject

LARGE = (1e2, 1e4)


@check(
    "an encoder takes items [B, *data_shape] to [B, features], a decoder takes z [B, K] to [B, *decoded_shape], in the precision of its parameters, "
    "for B = 1 too",
    "a size that is written down rather than read from the assembly, `squeeze`, a buffer in float64",
)
def shapes(subject: NetworkSubject, effort: Effort) -> Iterator[Trial]:
    """Images of three sizes and vectors; one and two numbers a pixel; in training and evaluation mode."""
    for case in subject.cases:
        module = case.built(dtype=torch.float32)
        for rows, training in ((3, False), (1, False), (3, True)):
            made = module.train(training)(case.values(rows).float())
            found = f"{list(made.shape)}, {made.dtype}".replace("torch.", "")
            right = made.shape == (rows, *case.outputs) and made.dtype == torch.float32
            yield holds(f"{case.title}, {rows} rows{', training' if training else ''}: {found}", right)
    for case in subject.few:
        made = case.built(dtype=torch.float64)(case.values())
        yield holds(f"{case.title}, float64: {made.dtype}".replace("torch.", ""), made.dtype == torch.float64)


@check(
    "in evaluation mode what is made of one item depends on that item alone",
    "statistics over the batch, a `flatten` or `reshape` that mixes rows",
)
def rows(subject: NetworkSubject, effort: Effort) -> Iterator[Trial]:
    """Rows alone and in a batch, and a batch whose other rows change."""
    for case in subject.small:
        module, values = case.built(), case.values()
        whole = module(values)
        alone = torch.cat([module(values[i : i + 1]) for i in range(len(values))])
        yield holds(
            f"{case.title}: rows alone differ by {float((whole - alone).detach().abs().max()):.2g}",
            torch.allclose(whole, alone, rtol=1e-8, atol=1e-10),
        )
        yield holds(f"{case.title}: different items give different results", bool((whole[0] != whole[1]).any()))


@check(
    "the gradient of what is made reaches every parameter and every number of the input",
    "a `detach`, a layer that is built and not used, a ReLU that is dead at first",
)
def gradients(subject: NetworkSubject, effort: Effort) -> Iterator[Trial]:
    """The gradient of a weighted sum of outputs, in training mode."""
    for case in subject.small:
        module, values = case.built().train(), case.values(16).requires_grad_()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            made = module(values)
        weights = effort.uniform(-1, 1, *made.shape, name="weights")
        names, parameters = zip(*module.named_parameters(), strict=True)
        found = torch.autograd.grad((weights * made).sum(), [values, *parameters], allow_unused=True, materialize_grads=True)
        dead = [name for name, gradient in zip(("the input", *names), found, strict=True) if not bool(gradient.abs().sum() > 0)]
        yield holds(f"{case.title}: no gradient in {', '.join(dead) or 'nothing'}", not dead)
        unseen = int((found[0].abs().sum(0) == 0).sum())
        yield holds(f"{case.title}: {unseen} of {found[0][0].numel()} numbers of an item have no gradient", unseen == 0)


@check(
    "a network that says `linear` makes decoders Phi z + b, with `weight` Phi [M, K] and `bias` b or None; one that does not say so makes others",
    "`linear` that was inherited, a nonlinearity after the layer, a scale that `weight` does not contain",
)
def linear(subject: NetworkSubject, effort: Effort) -> Iterator[Trial]:
    """Decoded numbers against those of the dictionary, at small and at large codes."""
    decoders = [case for case in subject.small if case.side == "decoder"]
    if not decoders:
        raise InapplicableError("it has no decoder")
    for case in decoders:
        yield from _as_told(case, subject.network.linear)


def _as_told(case: Case, told: bool) -> Iterator[Trial]:
    module, z = case.built(), case.values(scale=3.0)
    at_zero = module(torch.zeros_like(z[:1]))
    parts = [module(part) - at_zero for part in (z[:1], z[1:2], z[:1] + z[1:2])]
    bend = float(((parts[0] + parts[1] - parts[2]).abs().max() / parts[2].abs().max()).detach())
    yield holds(f"{case.title}: linear is {told}, and it is {bend:.2g} from additive", (bend < 1e-9) == told)
    if told:
        phi, b = dictionary_of(module)
        stated = (z @ phi.T + b).reshape(len(z), *case.outputs)
        worst = float((module(z) - stated).detach().abs().max())
        yield holds(f"{case.title}: it differs by {worst:.2g} from Phi z + b, Phi {list(phi.shape)}", torch.allclose(module(z), stated, rtol=1e-9))


@check(
    "what is made of large inputs (1e2, 1e4) is finite in float32, and so are gradients",
    "an exponential, a division by a norm, a square of a sum",
)
def extremes(subject: NetworkSubject, effort: Effort) -> Iterator[Trial]:
    """Inputs of either sign, and zeros."""
    for case in subject.small:
        module = case.built(dtype=torch.float32)
        for scale in (0.0, *LARGE):
            made = module(case.values(scale=scale).float())
            found = torch.autograd.grad(made.sum(), [*module.parameters()], allow_unused=True, materialize_grads=True)
            bad = sum(int((~value.isfinite()).sum()) for value in (made, *found))
            yield holds(f"{case.title}, inputs to {scale:g}: {bad} numbers are not finite", bad == 0)

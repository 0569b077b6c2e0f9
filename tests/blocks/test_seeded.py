"""Seeded use of samplers that draw from torch's global state."""

import torch
from torch.distributions import Gamma

from latentbench.blocks.seeded import _seed, seeded
from latentbench.streams import stream

Q = Gamma(torch.tensor(2.0), torch.tensor(1.0))


def draw(generator):
    with seeded(generator):
        return float(Q.rsample())


def test_the_draws_are_those_of_the_generator_whatever_the_global_state_is():
    torch.manual_seed(1)
    one = draw(stream(1))
    torch.manual_seed(2)
    assert draw(stream(1)) == one


def test_two_contexts_of_one_generator_differ():
    generator = stream(1)
    assert draw(generator) != draw(generator)


def test_the_global_state_is_as_before_also_after_an_error():
    before = torch.get_rng_state()
    draw(stream(1))
    try:
        with seeded(stream(1)):
            torch.rand(3)
            raise KeyError
    except KeyError:
        pass  # raised above
    assert torch.equal(torch.get_rng_state(), before)


def test_a_device_s_seed_comes_from_the_state_that_the_host_has(monkeypatch):
    """The drawn integer is not read: on `meta` it has no value."""
    monkeypatch.setattr(torch, "randint", lambda high, size, generator, device: torch.empty((), device="meta"))
    one, other = stream(1), stream(2)
    assert _seed(one) == _seed(stream(1)) != _seed(other)

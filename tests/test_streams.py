"""Random streams."""

import torch

from latentbench.streams import forked, seed_of, stream


def test_streams_are_named_and_independent():
    draws = {torch.rand(1, generator=stream(seed, name)).item() for seed in (1, 2) for name in ("a", "b", "c")}
    assert len(draws) == 6
    assert torch.equal(torch.rand(5, generator=stream(1, "a")), torch.rand(5, generator=stream(1, "a")))
    assert seed_of(1, "a", "b") != seed_of(1, "ab")


def test_a_fork_is_seeded_and_leaves_no_trace():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with forked(7):
        one = torch.rand(3)
    with forked(7):
        other = torch.rand(3)
    assert torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())

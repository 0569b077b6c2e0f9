"""Nearest neighbours among many draws of labelled items, from one distance of every pair."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

CHUNK = 2**22
"""Distances that are held at a time: 32 MiB, and as much again in whole numbers."""
EQUAL = 2.0**-40
"""Distances that differ by less are equal, relative to the largest squared norm: rounding does not choose between equally near items."""
DEEPER = 4
"""How many times deeper than where the last neighbour is expected the pool is searched for all draws at once."""
ASK_EVERY = 16
"""Places between two questions whether all neighbours are found."""


def knn_accuracies(pool: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], draws: Sequence[Tensor], k: int) -> list[Tensor]:
    """Accuracy of k nearest neighbours by Euclidean distance for draws of several sizes: float64 [D] for each.

    Of equally near items the first in the pool is a neighbour. The most frequent label of the k is predicted, the smallest one of several; of a draw
    with fewer than k items all vote. Distances are computed once, in float64, for as many tested items at a time as `CHUNK` allows.

    Args:
        pool: features [P, F] and labels [P] that draws choose from; labels are 0, 1, 2, ...
        test: features [N, F] and labels [N] of tested items.
        draws: for each size n places in the pool [D, n], without repetition.
        k: neighbours that vote.
    """
    (x, labels), (tested, truth) = pool, test
    x, tested = x.double(), tested.double()
    unit = EQUAL * _power_of_two(max(float(x.square().sum(1).max()), float(tested.square().sum(1).max())))
    depth = max(_depth(len(x), draw.shape[1], k) for draw in draws)
    members, right = [_members(draw, len(x)) for draw in draws], [torch.zeros(len(draw), dtype=torch.float64) for draw in draws]
    for rows in torch.arange(len(tested)).split(max(1, CHUNK // len(x))):
        ranks = _ranks(x, tested[rows], unit)
        order = ranks.topk(depth, largest=False).values % len(x)  # [R, L], places in the pool, the nearest first
        for number, (draw, member) in enumerate(zip(draws, members, strict=True)):
            votes = _votes(order, ranks, member, labels, min(k, draw.shape[1]))
            right[number] += (votes.argmax(2) == truth[rows, None]).sum(0)  # the first of the largest
    return [count / len(tested) for count in right]


def _power_of_two(number: float) -> float:
    """The largest one that is no larger; distances between counts are then whole numbers of units, and no rounding tells equal ones apart."""
    return 2.0 ** math.floor(math.log2(max(number, 1e-300)))


def _ranks(x: Tensor, tested: Tensor, unit: float) -> Tensor:
    """Whole numbers that are ordered as squared distances are, in units, and equal ones as the pool is: [R, P]; their rests by P are the places."""
    distances = torch.addmm(x.square().sum(1), tested, x.T, alpha=-2).add_(tested.square().sum(1, keepdim=True))
    return distances.div_(unit).round_().clamp_(min=0).long().mul_(len(x)).add_(torch.arange(len(x)))


def _members(draws: Tensor, size: int) -> Tensor:
    """Which draws have a place of the pool: [P, D]."""
    return torch.zeros(len(draws), size, dtype=torch.bool).scatter_(1, draws, True).T.contiguous()


def _depth(size: int, drawn: int, k: int) -> int:
    """How many of the nearest of a pool hold k of those drawn, in nearly every row."""
    return min(size, DEEPER * math.ceil(k * size / drawn))


def _votes(order: Tensor, ranks: Tensor, member: Tensor, labels: Tensor, k: int) -> Tensor:
    """How many of a draw's k nearest have a label: [R, D, classes].

    The pool is gone through from the nearest item on, for all draws at once: an item votes where it is drawn and fewer than k have voted.
    """
    classes = int(labels.max()) + 1
    count = torch.zeros(len(order), member.shape[1], dtype=torch.int16)
    votes = torch.zeros(*count.shape, classes, dtype=torch.int16)
    for depth, place in enumerate(order.T):  # [R]
        if depth % ASK_EVERY == 0 and bool((count == k).all()):
            return votes
        voting = member[place] & (count < k)  # [R, D]
        count += voting
        row, draw = voting.nonzero(as_tuple=True)
        votes[row, draw, labels[place[row]]] += 1  # a pair of row and draw occurs once
    for row, draw in (count < k).nonzero().tolist():
        nearest = ranks[row, member[:, draw]].topk(k, largest=False).values % len(member)
        votes[row, draw] = torch.bincount(labels[nearest], minlength=classes).to(votes.dtype)
    return votes

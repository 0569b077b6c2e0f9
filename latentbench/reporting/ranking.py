"""Many rows at once: p-values of a family of tests, groups of rows that cannot be told apart, intervals of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import Literal

import numpy as np

Adjustment = Literal["holm", "bh"]
Relation = np.ndarray[tuple[int, int], np.dtype[np.bool_]]
"""A relation of rows [n, n]."""


def adjusted(p: Sequence[float | None], method: Adjustment = "holm", family: int | None = None) -> list[float | None]:
    """p-values adjusted for the number of tests that were made; None, where a test could not be made, stays None.

    `holm` (Holm 1979) bounds the probability of any false rejection, `bh` (Benjamini & Hochberg 1995) the expected share of false ones.

    Args:
        p: p-values in any order.
        method: the adjustment.
        family: number of tests in the family, where it is more than `p` has; the p-values of the others count as 1.

    Raises:
        ValueError: the family is smaller than the number of p-values.
    """
    places = [place for place, value in enumerate(p) if value is not None]
    size = len(places) if family is None else family
    if size < len(places):
        raise ValueError(f"{len(places)} tests in a family of {size}")
    values = np.array([p[place] for place in places], dtype=np.float64)
    order = np.argsort(values, kind="stable")
    rank = np.arange(1, len(values) + 1)
    if method == "holm":
        stepped = np.maximum.accumulate((size - rank + 1) * values[order])
    else:
        stepped = np.minimum.accumulate((size / rank * values[order])[::-1])[::-1]
    result: list[float | None] = [None] * len(p)
    for at, value in zip(order, np.minimum(stepped, 1), strict=True):
        result[places[at]] = float(value)
    return result


def letters(different: Relation) -> list[str]:
    """The compact letter display of rows, best first: two rows share a letter if and only if they are not told apart.

    Every letter is a set of rows of which no two are told apart and that no further row fits into. Sets are grown around pairs that share no letter
    yet, in the order of rows. That gives the sets of insert-and-absorb (Piepho 2004) where these are runs of neighbours, and unlike it never
    exponentially many (Gramm et al. 2007). `a` has the best row. After `z` come `A` to `Z`, then `a1` and so on.

    Args:
        different: symmetric [n, n], whether two rows are significantly different.
    """
    alike = ~np.asarray(different, dtype=bool)
    np.fill_diagonal(alike, True)
    covered = np.zeros_like(alike)
    groups: list[list[int]] = []
    for one, other in np.argwhere(np.triu(alike)):
        if not covered[one, other] and (one != other or alike[one].sum() == 1):
            groups.append(_grown(alike, one, other))
            covered[np.ix_(groups[-1], groups[-1])] = True
    texts = [""] * len(alike)
    for number, group in enumerate(sorted(groups)):
        for row in group:
            texts[row] += _letter(number)
    return texts


def rank_intervals(beats: Relation) -> list[tuple[int, int]]:
    """Of every row the first and last rank that the tests leave: [1 + rows that are significantly better, n - rows that are significantly worse].

    Where the tests' family-wise error is alpha, all true ranks are in their intervals at once with a probability of at least 1 - alpha (Al Mohamad,
    Goeman & van Zwet 2022).

    Args:
        beats: [n, n], whether the first row is significantly better than the second, by the sign of their difference; means that other seeds are
            part of may be ordered otherwise.
    """
    n = len(beats)
    return [(1 + int(better), n - int(worse)) for better, worse in zip(beats.sum(axis=0), beats.sum(axis=1), strict=True)]


def _grown(alike: Relation, one: int, other: int) -> list[int]:
    """The pair, with every row, best first, that is like all that are in already."""
    group = {int(one), int(other)}
    fitting = alike[one] & alike[other]
    for row in range(len(alike)):
        if fitting[row]:
            group.add(row)
            fitting = fitting & alike[row]
    return sorted(group)


def _letter(number: int) -> str:
    again, place = divmod(number, len(ascii_letters))
    return ascii_letters[place] + (str(again) if again else "")

"""The kit in pytest: one test a check."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from latentbench.part import Options, Registered
from latentbench.testing.examine import DEFAULT_EFFORT, examine
from latentbench.testing.kinds import laws_of
from latentbench.testing.law import Effort


def latentbench_checks(part: type[Registered], options: Options | None = None, effort: Effort = DEFAULT_EFFORT) -> Callable[[str], None]:
    """A test function of a part, with one test for every check of its kind: `test_mine = latentbench_checks(Mine)`.

    A check that says nothing about the part is a skipped test, a known deviation an expected failure; a deviation that was not found is a warning.

    Args:
        part: the class.
        options: the only options that it is tried with; else its defaults, every value of an enumerated option and random draws of the others.
        effort: samples, level, seed and device.

    Raises:
        UserError: there are no laws for such a class.
    """
    import pytest  # the kit without pytest needs none

    @pytest.mark.parametrize("check", laws_of(part).names)
    def test(check: str) -> None:
        (finding,) = examine(part, options, effort, [check]).findings
        if finding.status == "failed":
            pytest.fail("\n".join([f"{part.__name__} breaks '{check}'", *finding.explanation()]), pytrace=False)
        if finding.status == "known deviation":
            pytest.xfail(finding.reason)
        if finding.status == "inapplicable":
            pytest.skip(finding.reason)
        if finding.status == "unexpected pass":
            warnings.warn(f"{part.__name__} declares a deviation from '{check}' that was not found ({finding.reason})", stacklevel=1)

    return _named(test, part)


def _named(test: Callable[[str], None], part: type[Any]) -> Callable[[str], None]:
    test.__doc__ = f"The conformance kit on {part.__name__}."
    return test

"""Numbers in the documentation: what commands print of the results that the repository has, and prose about it."""

import re
import shlex
from pathlib import Path

import pytest

from tests.docs.blocks import blocks, pages

ROOT = Path(__file__).parents[2]
BLOCKS = [block for page in pages(ROOT) for block in blocks(page)]
NUMBER = re.compile(r"(?<![\w.])[-\u2212]?(?:\d[\d,]*\.?\d*|\.\d+)(?![\w])")
NO_CLAIMS = re.compile(r"`[^`]*`|\]\([^)]*\)|<[^>]*>|(?:Tables?|Figs?\.|Eqs?\.|NeurIPS|seeds?) [\d.-]+\w?|^ *\d+\. ", re.M)
"""Code, where links lead, marks, names with numbers, and the numbers of a list."""


def of(mark):
    return [pytest.param(block, id=str(block)) for block in BLOCKS if block.mark == mark]


def numbers(text):
    """The numbers of a text: each with half a unit of its last digit."""
    found = (number.replace(",", "").replace("\u2212", "-").rstrip(".") for number in NUMBER.findall(text))
    return [(float(number), 0.5 * 10.0 ** -len(number.partition(".")[2])) for number in found]


def unshown(claims, printed):
    """The numbers of `claims`, rounded as they are written, that are none of `printed`; signs are left to words like `lower`."""
    there = [abs(value) for value, _ in numbers(printed)]
    return [value for value, half in numbers(NO_CLAIMS.sub(" ", claims)) if not any(abs(abs(value) - one) <= half * (1 + 1e-9) for one in there)]


def unlike(shown, printed):
    """The first line that is shown and not printed; a line `...` stands for any lines."""
    rest = iter([line.rstrip() for line in printed])
    anywhere = False
    for line in shown:
        if line.strip() == "...":
            anywhere = True
        elif not (line.rstrip() in rest if anywhere else next(rest, None) == line.rstrip()):
            return line
        else:
            anywhere = False
    left = [] if anywhere else [line for line in rest if line]
    return left[0] if left else None


def answer(command, cli):
    """What a command prints; those of verdicts may have exit code 1."""
    words = shlex.split(command)
    assert words[0] == "latentbench"
    found = cli(*words[1:])
    assert found.code in ((0, 1) if words[1] == "verify" else (0,)), found.err
    return found.out


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.mark.slow
@pytest.mark.parametrize("block", of("prints"))
def test_commands_print_what_is_shown(block, cli):
    for command, shown in block.printed:
        lines = answer(command, cli).splitlines()
        assert unlike(shown, lines) is None, f"{block}: {command}\n" + "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("block", of("shows"))
def test_numbers_are_those_that_commands_print(block, cli):
    printed = "\n".join(answer(command, cli) for command in block.commands)
    assert unshown(block.above, printed) == [], printed


@pytest.mark.parametrize(
    ("claims", "printed", "wrong"),
    [
        ("costs 41.7 nats, of 1,000", "a  41.68 ± 0.05  n = 1000", []),
        ("costs 41.6 nats", "41.68", [41.6]),
        ("6.9 lower", "-6.92", []),
        ("6.9 \u2212 .5", "-6.92 0.5", []),
        ("of Table 5, `K=512`, [here](x.md#9), seed 1, Fig. 5b", "", []),
        ("1. it is .03", "0.03", []),
        ("it is .03", "0.04", [0.03]),
        ("p < .001", "0.001", []),
    ],
)
def test_a_number_that_nothing_shows_is_found(claims, printed, wrong):
    assert unshown(claims, printed) == wrong


@pytest.mark.parametrize(
    ("shown", "printed", "line"),
    [
        (["a", "b"], ["a", "b  "], None),
        (["a"], ["a", "", "b"], "b"),
        (["a", "..."], ["a", "b"], None),
        (["a", "...", "c"], ["a", "b", "c"], None),
        (["a", "...", "d"], ["a", "b", "c"], "d"),
        (["a", "c"], ["a", "b", "c"], "c"),
    ],
)
def test_a_line_that_is_not_printed_is_found(shown, printed, line):
    assert unlike(shown, printed) == line

"""Evaluations as the command line names them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from latentbench.errors import UserError, shortened
from latentbench.suites.sweep import EvaluationSpec
from latentbench.suites.yaml_source import parse_value


def parse_evaluation(text: str, flag: str = "--evaluation") -> EvaluationSpec:
    """An evaluation as the command line names it: `knn`, or `knn(readout=mean, sizes=[200, 1000])`. Values are read as those of `--set` are.

    Raises:
        UserError: the text is not of that form, or has an option twice.
    """
    where = f"{flag} {shortened(text)}"
    found = re.fullmatch(r"\s*([^\s()]+)\s*(?:\((.*)\)\s*)?", text, re.DOTALL)
    if found is None:
        raise UserError("expected a name, or a name with options, as in 'knn(readout=mean)'", where=where)
    options: dict[str, object] = {}
    for pair in _separated(found[2] or ""):
        key, sign, value = (part.strip() for part in pair.partition("="))
        if not (key and sign and value):
            raise UserError(f"expected options like key=value, got '{shortened(pair.strip())}'", where=where)
        if key in options:
            raise UserError(f"the option '{shortened(key)}' is given twice", where=where)
        try:
            options[key] = parse_value(value)
        except UserError as error:
            raise error.at(where) from error
    return EvaluationSpec(found[1], options, where)


def _separated(text: str) -> Iterator[str]:
    """What stands between commas, but for commas in brackets and quotes."""
    if not text.strip():
        return
    start, depth, quote = 0, 0, ""
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "," and depth == 0:
            yield text[start:place]
            start = place + 1
        else:
            depth += (character in "[{(") - (character in "]})")
    yield text[start:]

"""Texts that strangers wrote, made harmless: names of parts, options and suites come from plugins and files of others."""

from __future__ import annotations

import html as standard
import re
import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of what a terminal or a page obeys instead of showing it: control and format characters, lone surrogates, line separators."""
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "[": "{[}", "]": "{]}", "*": "{*}", '"': r"{\char34}", "`": r"{\char96}", "±": r"$\pm$", "…": r"\ldots{}", "–": r"\textendash{}",
}  # fmt: skip
_FORMULA = frozenset("=+-@＝＋－＠")
"""What a text begins with that a spreadsheet executes."""


def visible(text: str) -> str:
    r"""One line of text whose control and format characters are written out, as in `\x1b[31m`, so that no terminal obeys them."""
    if text.isprintable():
        return text
    return "".join(character if unicodedata.category(character) not in _HIDDEN else _code(character) for character in text)


def github(text: str) -> str:
    """The text in a cell or a line of GitHub's Markdown: nothing in it is markup or a mention of a user."""
    escaped = re.sub(r"[\\`*_{}\[\]|~#$]", r"\\\g<0>", visible(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    listed = re.sub(r"^(\s*\d*)([-+.)])(?=\s|$)", r"\1\\\2", escaped)  # the mark of an item of a list
    return listed.replace("@", "@<!-- -->")


def html(text: str) -> str:
    """The text in an element or an attribute of HTML."""
    return standard.escape(visible(text), quote=True)


def latex(text: str) -> str:
    """The text in LaTeX's text mode, with the fonts and packages of any document; characters beyond ASCII need an engine that has them."""
    escaped = visible(text).replace("--", "-\0-").replace("--", "-\0-")  # two hyphens would become a dash
    return "".join("{}" if character == "\0" else _LATEX.get(character, character) for character in escaped)


def spreadsheet(text: str) -> str:
    """The text in a cell of CSV: an apostrophe comes before what a spreadsheet would take for a formula. Numbers stay."""
    shown = visible(text)
    return f"'{shown}" if shown[:1] in _FORMULA and not _is_number(shown) else shown


def _code(character: str) -> str:
    known = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
    point = ord(character)
    return known.get(character) or (f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

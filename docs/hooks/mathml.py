"""MkDocs hook: formulas become MathML when the site is built, so that pages need neither a script nor a font from elsewhere.

pymdownx.arithmatex in its generic mode leaves LaTeX in elements of the class `arithmatex`, and latex2mathml converts it. What latex2mathml would
let through silently, as unknown commands and braces that do not match, is an error of the build.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)
DELIMITED = re.compile(r"\\\((?P<inline>.*)\\\)|\\\[(?P<block>.*)\\\]", re.DOTALL)
UNKNOWN = re.compile(r"\\([A-Za-z]+)")
ENVIRONMENT = re.compile(r"\\begin\{(.*?)\}")
ENVIRONMENTS = ("align*", "array", "cases", "matrix", "pmatrix", "bmatrix")
"""Those that latex2mathml sets as tables; it drops others without a word."""
THIN, THICK = "0.167em", "0.278em"
OPERATOR = f"{{{NAMESPACE}}}mo"
SIGNS = ("\N{MINUS SIGN}", "+", "\N{PLUS-MINUS SIGN}", "\N{MINUS-OR-PLUS SIGN}")
FONTS = '"STIX Two Math", "Cambria Math", "Latin Modern Math", "Libertinus Math", "DejaVu Math TeX Gyre", math'
BARS = re.compile(r"\\([lr])([vV]ert)(?![A-Za-z])")


class FormulaError(ValueError):
    """A formula that cannot be converted; the message says why."""


def mathml(latex: str, block: bool = False) -> str:
    """A formula as a `<math>` element.

    Args:
        latex: the formula without its delimiters.
        block: whether it has a line of its own.

    Raises:
        FormulaError: it is not LaTeX, or has a command or environment that is not known.
    """
    from latex2mathml.converter import convert

    _check(latex)
    latex = BARS.sub(lambda bar: rf"\{'left' if bar[1] == 'l' else 'right'}{bar[0]}", latex)  # else both sides are the same operator
    try:
        tree = ElementTree.fromstring(convert(latex, display="block" if block else "inline"))
    except Exception as error:  # latex2mathml has an exception of its own for each of many mistakes, and no common base
        raise FormulaError(f"{type(error).__name__} {error}".strip()) from error
    unknown = [found[0] for text in tree.itertext() if (found := UNKNOWN.match(text))]
    if unknown:
        raise FormulaError(f"unknown command {unknown[0]}")
    _tidy(tree)
    ElementTree.register_namespace("", NAMESPACE)
    return ElementTree.tostring(tree, encoding="unicode")


def converted(content: str) -> str:
    """A page's HTML with all its formulas as MathML.

    Raises:
        FormulaError: one cannot be converted; the message has the formula.
    """
    return FORMULA.sub(_converted, content)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Convert the formulas of a page.

    Raises:
        PluginError: one cannot be converted.
    """
    from mkdocs.exceptions import PluginError

    try:
        return converted(content)
    except FormulaError as error:
        raise PluginError(f"{page.file.src_uri}: {error}") from error


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Set formulas in a font of the reader's that is made for them, as browsers' own choice may have no sizes for subscripts."""
    return output.replace("</head>", f"<style>math {{ font-family: {FONTS}; }}</style></head>", 1) if "<math" in output else output


def _converted(found: re.Match[str]) -> str:
    text = html.unescape(found[2]).strip()
    formula = DELIMITED.fullmatch(text)
    if formula is None:
        raise FormulaError(f"expected a formula in \\(...\\) or \\[...\\], got {text}")
    block = formula["block"] is not None
    try:
        return mathml((formula["block"] if block else formula["inline"]).strip(), block)
    except FormulaError as error:
        raise FormulaError(f"the formula {text}: {error}") from error


def _check(latex: str) -> None:
    """Raise a FormulaError for what latex2mathml does not see."""
    if not latex:
        raise FormulaError("it is empty")
    depth = 0
    for brace in re.findall(r"\\.|[{}]", latex, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if depth < 0:
            break
    if depth:
        raise FormulaError("braces do not match")
    wrong = [name for name in ENVIRONMENT.findall(latex) if name not in ENVIRONMENTS]
    if wrong:
        raise FormulaError(f"environment '{wrong[0]}' is not one of {', '.join(ENVIRONMENTS)}")


def _tidy(tree: ElementTree.Element) -> None:
    """Spacing and alignment as browsers with MathML Core have them, where latex2mathml leaves them to its readers."""
    for parent in tree.iter():
        children = list(parent)
        for before, child, after in zip([None, *children], children, [*children[1:], None], strict=False):
            text = child.text or ""
            if _kind(child) == "mi" and len(text) == 1 and unicodedata.category(text) == "Sm":
                child.tag, child.text = OPERATOR, text.replace("~", "\N{TILDE OPERATOR}")
                child.attrib |= {"lspace": THICK, "rspace": THICK}  # a relation
            elif _kind(child) in ("mi", "mo") and len(text) > 1 and text.isalpha():
                _name(child, before, after)
            elif text in SIGNS and _kind(child) == "mo" and (before is None or _is_operator(before)):
                child.set("form", "prefix")
            elif "columnalign" in child.attrib:
                child.set("style", f"text-align: {child.attrib.pop('columnalign')}")  # columnalign is no part of MathML Core


def _name(child: ElementTree.Element, before: ElementTree.Element | None, after: ElementTree.Element | None) -> None:
    """A function's name, with a thin space after a factor and before an argument without parentheses."""
    child.tag = OPERATOR
    left = before is not None and not _is_operator(before)
    right = after is not None and after.text != "("
    child.attrib |= {"lspace": THIN if left else "0", "rspace": THIN if right else "0", "movablelimits": "false"}


def _is_operator(element: ElementTree.Element) -> bool:
    """Whether no product is meant by what follows: an operator, a space, or an opening parenthesis."""
    return _kind(element) in ("mo", "mspace") and element.text not in (*")]}!…⋯", "\u2016")


def _kind(element: ElementTree.Element) -> str:
    return element.tag.removeprefix(f"{{{NAMESPACE}}}")

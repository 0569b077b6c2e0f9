"""The hook of the site that makes MathML of formulas."""

import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("mkdocs", reason="pip install 'latentbench[docs]'")
pytest.importorskip("latex2mathml", reason="pip install 'latentbench[docs]'")
ROOM = "{http://www.w3.org/1998/Math/MathML}"


@pytest.fixture(scope="module")
def hook(root):
    spec = importlib.util.spec_from_file_location("mathml", root / "docs" / "hooks" / "mathml.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rendered(text, hook):
    """A page of Markdown as the site renders it."""
    import markdown

    return hook.converted(
        markdown.markdown(text, extensions=["tables", "pymdownx.arithmatex"], extension_configs={"pymdownx.arithmatex": {"generic": True}})
    )


def test_inline_and_displayed_formulas_of_a_page_become_math_elements(hook):
    page = rendered("The rate \\(r_k < 1\\).\n\n\\[\n\\sum_{k=1}^K r_k\n\\]\n", hook)
    inline, block = (ElementTree.fromstring(f"<math{part.split('</math>')[0]}</math>") for part in page.split("<math")[1:])
    assert (inline.get("display"), block.get("display")) == ("inline", "block")
    assert "".join(inline.itertext()) == "rk<1"
    assert block.find(f".//{ROOM}mo").text == "∑"
    assert "arithmatex" not in page


def test_a_formula_in_a_table_is_converted(hook):
    assert rendered("| a | b |\n| --- | --- |\n| x | \\(x^2\\) |\n", hook).count("<msup>") == 1


def test_code_stays_as_it_is(hook):
    assert rendered("`\\(x^2\\)`", hook) == "<p><code>\\(x^2\\)</code></p>"


@pytest.mark.parametrize(
    ("latex", "why"),
    [
        (r"\dreiviertel x", r"unknown command \\dreiviertel"),
        (r"\frac{a}{b", "braces do not match"),
        ("a}{b", "braces do not match"),
        (r"\left( a", "ExtraLeftOrMissingRight"),
        ("a_1_2", "DoubleSubscripts"),
        (r"\begin{aligned} a \end{aligned}", "environment 'aligned' is not one of align"),
        ("", "it is empty"),
        ("a & b", "ParseError"),
    ],
)
def test_what_cannot_be_converted_is_refused(hook, latex, why):
    with pytest.raises(hook.FormulaError, match=why):
        hook.mathml(latex)


def test_escaped_braces_need_no_partner(hook):
    assert "{" in hook.mathml(r"\{ a")


def test_the_build_fails_with_the_page_and_the_formula(hook):
    from types import SimpleNamespace

    from mkdocs.exceptions import PluginError

    page = SimpleNamespace(file=SimpleNamespace(src_uri="mathematics/families.md"))
    with pytest.raises(PluginError, match=r"mathematics/families.md: the formula .*\\nonsense.*unknown command"):
        hook.on_page_content('<span class="arithmatex">\\(\\nonsense\\)</span>', page, None, None)


def test_dollars_are_no_formula_of_these_pages(hook):
    with pytest.raises(hook.FormulaError, match=r"expected a formula in"):
        hook.converted('<span class="arithmatex">$x$</span>')


def operators(hook, latex):
    return list(ElementTree.fromstring(hook.mathml(latex)).iter(f"{ROOM}mo"))


@pytest.mark.parametrize(("latex", "left", "right"), [(r"\ln x", "0", "0.167em"), (r"\ln(x)", "0", "0"), (r"y \ln y", "0.167em", "0.167em")])
def test_names_of_functions_have_a_thin_space_towards_factors_and_bare_arguments(hook, latex, left, right):
    name = operators(hook, latex)[0]
    assert (name.text, name.get("lspace"), name.get("rspace")) == ("ln", left, right)


@pytest.mark.parametrize(("latex", "form"), [("-1", "prefix"), ("[-1", "prefix"), ("a = -1", "prefix"), ("a - 1", None), ("f(x) - 1", None)])
def test_a_sign_has_no_space_where_there_is_nothing_to_add_to(hook, latex, form):
    assert operators(hook, latex)[-1].get("form") == form


def test_relations_have_space_around_them(hook):
    (relation,) = operators(hook, r"z \sim q")
    assert (relation.text, relation.get("lspace"), relation.get("rspace")) == ("∼", "0.278em", "0.278em")


def test_bars_open_and_close(hook):
    assert [bar.get("form") for bar in operators(hook, r"\lVert x \rVert^2")] == ["prefix", "postfix"]
    with pytest.raises(hook.FormulaError, match="MissingRight"):
        hook.mathml(r"\lvert x")


def test_pages_with_formulas_name_fonts_for_them(hook):
    page = "<head></head><body>{}</body>"
    assert "<style>math { font-family" in hook.on_post_page(page.format("<math></math>"), None, None)
    assert hook.on_post_page(page.format("text"), None, None) == page.format("text")


def test_columns_are_aligned_by_style(hook):
    cells = ElementTree.fromstring(hook.mathml(r"\begin{cases} a & b \end{cases}", block=True)).iter(f"{ROOM}mtd")
    assert {cell.get("style") for cell in cells} == {"text-align: left"}


@pytest.mark.parametrize("page", sorted(path.name for path in (Path(__file__).parent.parent.parent / "docs" / "mathematics").glob("*.md")))
def test_every_formula_of_the_pages_is_converted(hook, root, page):
    text = (root / "docs" / "mathematics" / page).read_text()
    assert rendered(text, hook).count("</math>") == len(re.findall(r"\\\(|\\\[", re.sub(r"`[^`]*`", "", text)))

"""Leaderboards in LaTeX."""

import re
import shutil
import subprocess

import pytest

from latentbench.reporting.rendering import render
from latentbench.reporting.rendering.grid import grid
from tests.reporting.rendering import boards
from tests.reporting.rendering.boards import BOARDS


def columns_of(text):
    """How many columns the table declares, and how many every row fills."""
    declared = re.search(r"\\begin\{tabular\}\{([lr]*)\}", text)[1]
    rows = re.findall(r"^(?!%)(.*?) \\\\$", text, re.MULTILINE)
    return len(declared), [sum(span(cell) for cell in re.split(r"(?<!\\)&", row)) for row in rows]


def span(cell):
    found = re.match(r"\s*\\multicolumn\{(\d+)\}", cell)
    return int(found[1]) if found else 1


@pytest.mark.parametrize("name", BOARDS)
def test_every_row_fills_the_declared_columns(name):
    made = BOARDS[name]()
    declared, rows = columns_of(render(made, "latex"))
    levels = len(grid(made).column_names)
    assert len(rows) - len(made.rows) in (max(levels, 1), levels + 1)
    assert set(rows) == {declared}


@pytest.mark.parametrize("name", BOARDS)
def test_braces_are_balanced_and_mathematics_ends(name):
    text = re.sub(r"\\[\\{}$%&#_]", "", render(BOARDS[name](), "latex"))
    assert text.count("{") == text.count("}")
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert all(line.count("$") % 2 == 0 for line in text.splitlines())


def test_starred_means_are_bold_and_ties_are_superscripts():
    lines = render(boards.based(), "latex").splitlines()
    assert r"gaussian & $\mathbf{133.12} \pm 0.80$\textsuperscript{a} & 1--2 & baseline \\" in lines
    assert r"laplace & $134.60 \pm 0.70$\textsuperscript{b{[}1{]}} (n = 4, 1 failed) & 2--3 & $+1.48 \pm 0.41$ ($p < .001$, $r = .20$) \\" in lines


def test_exponents_thousands_and_ends_are_mathematics():
    text = render(boards.odd(), "latex")
    assert r"$(3.20 \pm 0.15) \times 10^{-9}$" in text
    assert "$> 5{,}000$" in text
    assert "$4.9$ $[3.1, 8.2]$" in text


def test_labels_have_rules_under_what_they_span():
    lines = render(boards.wide(), "latex").splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("dataset"))
    assert lines[at + 1] == r"\cmidrule(lr){2-3} \cmidrule(lr){4-5} \cmidrule(lr){6-7}"
    assert lines[at].startswith(r"dataset & \multicolumn{2}{c}{cifar16} & \multicolumn{2}{c}{mnist}")


def test_the_last_level_heads_columns_of_one_metric():
    text = render(boards.wide(), "latex")
    head = next(line for line in text.splitlines() if line.startswith("family &"))
    assert [re.sub(r"\\multicolumn\{1\}\{c\}\{(.*)\}", r"\1", part) for part in head.removesuffix(r" \\").split(" & ")] == [
        "family",
        *["conv", "linear"] * 3,
        "mean rank",
    ]
    assert "{nelbo}" not in text
    assert r"family & \multicolumn{1}{c}{nelbo} & \multicolumn{1}{c}{knn\_accuracy at 200}" in render(boards.several(), "latex")


def test_what_a_caption_says_is_in_comments():
    lines = render(boards.hostile(), "latex").splitlines()
    start = lines.index(r"\begin{tabular}{lr}")
    assert all(line.startswith("% ") for line in lines[:start])
    assert lines[start - 1] == r"% \{note\}"


def test_names_are_text():
    text = render(boards.hostile(), "latex")
    assert r"100 \% \& \$x\_1\textasciicircum{}2\$ \#\{\textasciitilde{}\}\textbackslash{}end\{tabular\} &" in text
    assert "\n{[}x{]} &" in text  # a bracket after a row's end would be its option
    assert text.count(r"\end{tabular}") == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex and booktabs")
def test_tables_compile(tmp_path):
    tables = "\n\n".join(render(made(), "latex") for made in BOARDS.values())
    (tmp_path / "t.tex").write_text(f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}\\tiny\n{tables}\n\\end{{document}}\n")
    ran = subprocess.run(
        ["pdflatex", "-draftmode", "-halt-on-error", "-interaction=nonstopmode", "t.tex"], cwd=tmp_path, capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stdout.decode(errors="replace")[-2000:]

"""How figures look: colours that can be told apart, texts as they are, embedded fonts, and the same bytes every time."""

import io
import os
import re
import subprocess
import sys
import zlib
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from latentbench.errors import UserError
from latentbench.reporting.drawing import (
    DOUBLE,
    DPI,
    MARKERS,
    PALETTE,
    SETTINGS,
    SINGLE,
    SMALLEST,
    drawing_style,
    kind_of,
    label,
    legend,
    plain_log,
    save,
    sheet,
    styles,
    to_bytes,
)  # fmt: skip

# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB.
SIGHT = {
    "usual": np.eye(3),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
WHITE = np.array([0.95047, 1.0, 1.08883])


def linear(colour):
    c = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / WHITE
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_can_be_told_apart(sight):
    """By at least 15 units of CIE 1976, of which 2.3 are just noticeable."""
    seen = [lab(SIGHT[sight] @ linear(colour)) for colour in PALETTE]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 15


def test_colours_can_be_seen_on_white():
    for colour in PALETTE:
        assert 1.05 / (TO_XYZ[1] @ linear(colour) + 0.05) > 2.2, colour


def test_88_families_have_a_colour_and_marker_of_their_own():
    found = styles([f"family{i:02}" for i in range(88)])
    assert len({(style.colour, style.marker) for style in found.values()}) == len(PALETTE) * len(MARKERS) == 88


def test_the_first_eight_families_differ_in_both():
    found = styles((), [f"family{i}" for i in range(8)]).values()
    assert len({style.colour for style in found}) == len({style.marker for style in found}) == 8


def test_reserved_families_keep_their_looks_whatever_else_is_there():
    reserved = ("b", "a")
    assert styles(["z", "c"], reserved)["a"] == styles(["a"], reserved)["a"] == styles((), reserved)["a"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("poisson", "poisson"),
        ("_hidden", " _hidden"),
        ("$a_b$", "$a_b$"),
        ("two\nlines", "two\N{REPLACEMENT CHARACTER}lines"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}x", "\N{REPLACEMENT CHARACTER}x"),
        ("x" * 50, "x" * 39 + "…"),
        ("", ""),
    ],
)
def test_labels_are_one_bounded_printable_line(text, shown):
    assert label(text) == shown


def picture(text="a $b$ _c_"):
    drawing, axes = sheet(1, 2, SINGLE, 50)
    axes[0, 0].plot([1, 2], [3, 4], label=label(text))
    axes[0, 0].set(xlabel=text, title=text)
    axes[0, 1].plot([0.01, 1000], [1, 2])
    plain_log(axes[0, 1].xaxis)
    legend(drawing, axes[0, 0].lines)
    return drawing


def bytes_of(kind, text="a $b$ _c_"):
    with drawing_style():
        return to_bytes(picture(text), kind, "a figure")


def test_fonts_of_pdfs_are_embedded_as_true_type():
    content = bytes_of("pdf")
    inflated = content + b"".join(_inflated(stream) for stream in re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL))
    assert b"/FontFile2" in inflated
    assert b"/Type3" not in inflated
    assert b"CreationDate" not in inflated


def _inflated(stream):
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""  # a stream that is not compressed is in the file as it is


def test_pngs_have_the_size_and_resolution_of_print():
    image = Image.open(io.BytesIO(bytes_of("png")))
    assert np.allclose(image.size, (SINGLE / 25.4 * DPI, 50 / 25.4 * DPI), atol=1)
    assert np.allclose(image.info["dpi"], DPI, rtol=0.001)


def test_svgs_are_xml_without_fonts_or_scripts():
    root = ElementTree.fromstring(bytes_of("svg", "<script>alert('x')</script>"))
    assert root.tag.endswith("svg")
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert "path" in tags
    assert not {"text", "script", "font-face"} & tags


@pytest.mark.parametrize("kind", ["pdf", "png", "svg"])
def test_the_same_picture_has_the_same_bytes(kind):
    assert bytes_of(kind) == bytes_of(kind)


def test_another_process_at_another_time_draws_the_same_bytes(root):
    code = """if 1:
        import hashlib
        from tests.reporting.test_drawing import bytes_of
        print([hashlib.sha256(bytes_of(kind)).hexdigest() for kind in ("pdf", "png", "svg")])
    """
    later = {**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "MPLBACKEND": "svg"}
    found = [
        subprocess.run([sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True, check=True).stdout for env in (None, later)
    ]
    assert found[0] == found[1] != ""


def test_texts_are_no_mathematics():
    with drawing_style():
        drawing = picture("$\\frac{1}{$")
        to_bytes(drawing, "pdf")  # matplotlib cannot parse it
        assert not any(text.get_parse_math() for text in drawing.findobj(match=lambda artist: hasattr(artist, "get_parse_math")))
        ticks = [text.get_text() for text in drawing.axes[1].get_xticklabels()]
    assert len([float(text) for text in ticks if text]) > 2


def test_nothing_is_smaller_than_six_points():
    assert (
        min(size for name, size in SETTINGS.items() if name.endswith(("size", "fontsize")) and "tick.m" not in name and "marker" not in name)
        >= SMALLEST
        >= 6
    )
    assert (SINGLE, DOUBLE) == (89, 183)


def test_what_the_user_has_configured_changes_nothing_and_stays():
    import matplotlib as mpl

    before = bytes_of("png")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert bytes_of("png") == before
        assert mpl.rcParams["font.size"] == 30


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"pip install 'latentbench\[figures\]'"), drawing_style():
        pass


@pytest.mark.parametrize(("name", "problem"), [("a.jpg", "unknown kind of picture 'jpg'"), ("a", "has no suffix"), ("a.pngg", r"did you mean 'png'")])
def test_other_kinds_of_files_are_refused(tmp_path, name, problem):
    with pytest.raises(UserError, match=problem):
        kind_of(tmp_path / name)
    assert kind_of(tmp_path / "A.PNG") == "png"


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "a.pdf").mkdir()
    with pytest.raises(UserError, match=r"a\.pdf cannot be written"):
        save(b"x", tmp_path / "a.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        save(b"x", tmp_path / "file" / "b.pdf")

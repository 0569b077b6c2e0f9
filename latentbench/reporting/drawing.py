"""How figures look, and their files: sizes of print, colours that everybody can tell apart, texts as they are, and the same bytes every time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentbench.errors import UserError, shortened, unknown
from latentbench.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Drawing

SINGLE, DOUBLE = 89.0, 183.0
"""Widths of one and of two columns in millimetres, as journals have them."""
FONT = 7.0
"""Points; nothing is printed smaller than `SMALLEST`."""
SMALLEST = 6.0
DPI = 300
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000", "#5D3A1A")
"""Okabe and Ito's colours; a dark brown in the place of their yellow, which cannot be seen on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p")
"""As many as have no divisor in common with the palette: 88 families have a colour and marker of their own."""
GREY = "#595959"
PALE = 0.45
"""Opacity of what is published, beside ours."""
SUFFIXES = ("pdf", "png", "svg")
SETTINGS: Any = {
    "font.family": "DejaVu Sans", "font.size": FONT, "axes.titlesize": FONT, "axes.labelsize": FONT, "legend.fontsize": SMALLEST,
    "xtick.labelsize": SMALLEST, "ytick.labelsize": SMALLEST, "figure.titlesize": FONT, "text.parse_math": False, "text.usetex": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4, "ytick.minor.width": 0.4, "xtick.major.size": 2.5, "ytick.major.size": 2.5, "lines.linewidth": 1.0,
    "lines.markersize": 4.0, "lines.markeredgewidth": 0.8, "legend.frameon": False, "legend.handlelength": 2.4, "figure.dpi": DPI,
    "pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "latentbench", "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True, "image.interpolation": "nearest",
}  # fmt: skip
"""matplotlib's settings for all figures. Texts are never mathematics: names come from strangers, and `$` in them means nothing."""


@dataclass(frozen=True)
class Style:
    """The colour and marker of a family, in every figure."""

    colour: str
    marker: str


def styles(families: Iterable[str], reserved: Sequence[str] = ()) -> dict[str, Style]:
    """The style of every family: the reserved ones in their order, then the others by name, so that none depends on what else a figure shows."""
    order = [*dict.fromkeys(reserved), *sorted(set(families) - set(reserved))]
    return {name: Style(PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(order)}


def label(text: str, width: int = 40) -> str:
    """A text for a figure: one line, of bounded length, with a mark for what cannot be printed. matplotlib leaves labels that begin with `_` out."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return shortened(f" {shown}" if shown.startswith("_") else shown, width)


def sheet(rows: int = 1, columns: int = 1, width: float = DOUBLE, height: float = 60.0, **about: Any) -> tuple[Drawing, Any]:
    """A drawing of `width` x `height` millimetres, and its axes [rows, columns], laid out so that nothing overlaps. `about` goes to `subplots`."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(width / 25.4, height / 25.4), layout="constrained")
    return drawing, drawing.subplots(rows, columns, squeeze=False, **about)


def legend(drawing: Drawing, handles: Sequence[Any], columns: int = 0) -> None:
    """A legend below the axes, of artists that have labels."""
    if handles:
        drawing.legend(handles=list(handles), loc="outside lower center", ncols=columns or min(len(handles), 6))


def plain_log(axis: Axis) -> None:
    """Make an axis logarithmic, with ticks as plain numbers: matplotlib's own labels of such axes are mathematics."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})  # type: ignore[attr-defined]  # every axis has a name
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


@contextmanager
def drawing_style() -> Iterator[None]:
    """matplotlib as figures are drawn and saved with it, whatever the user has configured.

    Raises:
        UserError: it is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise UserError("figures are drawn by matplotlib, which is not installed: pip install 'latentbench[figures]'") from error
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        yield


def kind_of(path: Path) -> str:
    """The kind of a figure's file, by its suffix.

    Raises:
        UserError: it is not one of those that figures are saved as.
    """
    kind = path.suffix.removeprefix(".").lower()
    if kind not in SUFFIXES:
        raise UserError(unknown("kind of picture", kind, SUFFIXES) if kind else f"{path} has no suffix; known: {', '.join(SUFFIXES)}", where="--out")
    return kind


def to_bytes(drawing: Drawing, kind: str, title: str = "") -> bytes:
    """A drawing as PDF, PNG or SVG; the same bytes for the same drawing. Call it within `drawing_style`."""
    undated = {"pdf": {"CreationDate": None, "Title": title}, "png": {"Title": title, "Software": None}, "svg": {"Date": None, "Title": title}}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a box is drawn for what the font does not have
        drawing.savefig(buffer, format=kind, dpi=DPI, metadata=undated[kind])
    return buffer.getvalue()


def save(content: bytes, path: Path) -> None:
    """Write a picture.

    Raises:
        UserError: it cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}", where="--out") from error

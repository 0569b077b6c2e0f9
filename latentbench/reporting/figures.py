"""Drawing a figure by its name: options, results, and the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from latentbench.errors import UserError, first_problem
from latentbench.reporting.canvas import Canvas
from latentbench.reporting.drawing import drawing_style, kind_of, save, to_bytes
from latentbench.reporting.extensions import load_reporting
from latentbench.reporting.figure import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class Drawn:
    """A figure that was drawn: its file, and the remarks that are shown with it."""

    path: Path
    caption: str
    missing: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """The caption, with what is missing, a line each."""
        lines = [f"{self.path}: {self.caption}", *self.notes]
        return "\n".join(lines + ([f"Missing: {'; '.join(self.missing)}."] if self.missing else []))


def figure_named(name: str, options: Mapping[str, Any]) -> Figure:
    """The figure with its options.

    Raises:
        UserError: no plugin has it, or an option is wrong.
    """
    kind = cast("type[Figure]", load_reporting().get("figures", name))
    try:
        return kind(kind.options_model.model_validate(dict(options)))
    except ValidationError as error:
        raise first_problem(error, kind.options_model, dict(options)).error(where=f"--option of figure '{name}'") from error


def draw(figure: Figure, canvas: Canvas) -> Drawing:
    """The picture, in the style of all figures; within `drawing_style`.

    Raises:
        UserError: there is nothing to draw, or the figure's plugin draws no picture.
    """
    from matplotlib.figure import Figure as Drawing

    canvas.reserved = canvas.reserved or reserved()
    drawing = figure.draw(canvas)
    if not isinstance(drawing, Drawing):
        raise UserError(f"figure '{figure.name}': draw returned {type(drawing).__name__}, expected a matplotlib Figure")
    return drawing


def draw_to_file(name: str, canvas: Canvas, out: Path, options: Mapping[str, Any] | None = None) -> Drawn:
    """Draw the figure `name` into a file, which is not touched where there is nothing to draw.

    Raises:
        UserError: the name, an option or the file's suffix is unknown; there is nothing to draw; matplotlib is not installed; or the file cannot be
            written.
    """
    kind = kind_of(out)
    figure = figure_named(name, options or {})
    with drawing_style():
        content = to_bytes(draw(figure, canvas), kind, f"latentbench figure {name}")
    save(content, out)
    return Drawn(out, figure.caption(), tuple(canvas.missing), tuple(canvas.notes))


def reserved() -> tuple[str, ...]:
    """The families whose colours and markers the installed figures reserve."""
    figures = sorted(load_reporting().parts["figures"].values(), key=lambda part: part.name)
    return tuple(dict.fromkeys(name for part in figures for name in cast("type[Figure]", part).families))


def published_folder(start: Path) -> Path | None:
    """`results/published` in a folder, or in one above it; None where there is none."""
    here = start.resolve()
    return next((path for up in (here, *here.parents) if (path := up / "results" / "published").is_dir()), None)


def nothing(canvas: Canvas, figure: str, needs: str) -> UserError:
    """The error to raise where there is nothing to draw; `needs` says what the figure is drawn from."""
    folders = " and ".join(map(str, canvas.stores))
    selected = " that --only, --suite or --option selects" if canvas.only or canvas.asked is not None else ""
    return UserError(f"there is nothing to draw of figure '{figure}' in {folders}: it needs {needs}{selected}")

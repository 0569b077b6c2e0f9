"""The contract of figures: each draws one picture from stored results alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from latentbench.part import Options, Registered
from latentbench.reporting.canvas import Canvas
from latentbench.reporting.text import first_paragraph

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


class Figure(Registered, ABC):
    """Base of all figures. The first paragraph of its docstring is its caption; `latentbench figure NAME` draws it.

    `families` are latent families that have their colours and markers reserved, in this order, in the figures of every plugin; all others get the
    next ones. A module of figures imports matplotlib within its methods, so that figures can be listed where it is not installed.
    """

    families: ClassVar[Sequence[str]] = ()

    def __init__(self, options: Options) -> None:
        self.options = options

    @classmethod
    def caption(cls) -> str:
        """What the figure shows."""
        return first_paragraph(cls)

    @abstractmethod
    def draw(self, canvas: Canvas) -> Drawing:
        """The picture of what there is; what is not there is added to `canvas.missing`, a line each.

        Make it with `latentbench.reporting.drawing.sheet`, which has the sizes of print. Texts are drawn as they are: `$` and `_` mean nothing.

        Raises:
            UserError: there is nothing to draw.
        """

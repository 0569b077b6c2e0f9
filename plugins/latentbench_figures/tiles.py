"""Pictures of many small images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


def tiled(images: NDArray[Any], columns: int | None = None, white: float | None = None) -> NDArray[np.float64]:
    """Images [N, H, W] or [N, C, H, W] with one or three channels as one picture [H', W'] or [H', W', 3], from 0 (black) to 1.

    Numbers from 0 to `white` are shown as black to white; without it 0 is grey in every image, and its largest magnitude is black or white.
    """
    shown = images[:, None] if images.ndim == 3 else images  # [N, C, H, W]
    n, channels, height, width = shown.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    scale = np.maximum(np.abs(shown).max((1, 2, 3), keepdims=True), 1e-12)
    scaled = np.clip(shown / white, 0, 1) if white else 0.5 + 0.5 * shown / scale
    tiles = np.ones((rows * columns, channels, height + 1, width + 1))
    tiles[:n, :, :height, :width] = scaled
    picture = tiles.reshape(rows, columns, channels, height + 1, width + 1).transpose(0, 3, 1, 4, 2)
    joined = picture.reshape(rows * (height + 1), columns * (width + 1), channels)[:-1, :-1]
    return joined[:, :, 0] if channels == 1 else joined


def show(axes: Axes, picture: NDArray[np.float64], title: str) -> None:
    """A picture of tiles, without ticks."""
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title)

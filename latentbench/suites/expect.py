"""What a suite's runs are compared with: published tables, and the differences that count as agreement."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from latentbench.part import Options

Margin = Annotated[float, Field(gt=0)]


class Verify(Options):
    """How `latentbench verify` compares runs with published values.

    Margins are constants that the suite states, so that noise cannot help to pass: those of shares (metrics whose unit is a share) are differences,
    those of others parts of the published value.
    """

    margin: Margin = Field(default=0.02, description="Difference that counts as agreement, as a part of the published value.")
    share: Margin = Field(default=0.02, description="The same of metrics that are shares, as a difference.")
    absolute: dict[str, Margin] = Field(default_factory=dict, description="The same of single metrics, as a difference.")
    bars: Literal["value", "none"] | Annotated[int, Field(ge=2)] = Field(
        default="value",
        description="What bars of published summaries show: the spread of means over this number of seeds, as `compare --ci paper` does; 99 % "
        "intervals of single values (value); or something else (none).",
    )


def published_folder(suite: Path, folder: str) -> Path | None:
    """The folder `results/FOLDER` in a suite's folder, or in the next one above it that has one."""
    here = suite.resolve().parent
    return next((path for up in (here, *here.parents) if os.path.isdir(path := up / "results" / folder)), None)

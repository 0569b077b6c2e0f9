"""Stored pictures, small enough for a page."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latentbench.files import listed
from latentbench.reporting.report.page import Block, Gallery, Picture, Text
from latentbench.reporting.report.stored import Stored
from latentbench.reporting.report.text import count

MAX_PICTURES = 30
"""Pictures of a kind."""
MAX_BYTES = 4_000_000
"""Size of all pictures of a page, as PNG."""
WIDTH = 420
"""Pixels of the width that wider pictures are reduced to."""
MAX_PIXELS = 20_000_000
"""Pixels of a file that is read at all."""


@dataclass(frozen=True)
class _File:
    kind: str
    path: Path
    words: str


def galleries(stored: Stored) -> list[Block]:
    """A gallery for every kind of picture, a picture a model: of its first seed that has one. What is left out is counted."""
    kinds: dict[str, list[_File]] = defaultdict(list)
    for file in _files(stored):
        kinds[file.kind].append(file)
    blocks: list[Block] = []
    left = MAX_BYTES
    for i, (kind, files) in enumerate(sorted(kinds.items())):
        pictures, broken, used = _shown(files, left // (len(kinds) - i))
        left -= used
        rest = len(files) - len(pictures) - broken
        notes = [f"Those of {count(rest, 'more model')} are left out to keep the page small."] if rest else []
        notes += [f"{count(broken, 'file')} could not be read."] if broken else []
        blocks.append(Gallery(kind, pictures, " ".join(notes)))
    return blocks or [Text(["No pictures are stored."])]


def _files(stored: Stored) -> list[_File]:
    """The pictures of one seed of every model."""
    files: list[_File] = []
    seen: set[tuple[str, str]] = set()
    runs = stored.runs.sort_values("seed", kind="stable")[["store", "run_id", "model", "seed"]]
    have = {(str(store), folder.name) for store in stored.stores for folder in _folders(store / "pictures")}
    for store, run_id, model, seed in runs.itertuples(index=False, name=None):
        if (store, run_id) not in have:
            continue
        for path in listed(Path(store) / "pictures" / run_id, ".png"):
            kind = path.stem.rpartition("-")[2]
            if (kind, model) not in seen:
                seen.add((kind, model))
                files.append(_File(kind, path, f"{model}, seed {seed}"))
    return files


def _folders(path: Path) -> list[Path]:
    return [each for each in path.iterdir() if each.is_dir()] if path.is_dir() else []


def _shown(files: Sequence[_File], limit: int) -> tuple[list[Picture], int, int]:
    """Pictures up to a number and a size; how many files could not be read; the bytes used."""
    pictures: list[Picture] = []
    broken = used = 0
    for file in files:
        if len(pictures) == MAX_PICTURES:
            break
        made = _picture(file)
        if made is None:
            broken += 1
            continue
        picture, size = made
        if used + size > limit:
            break
        pictures.append(picture)
        used += size
    return pictures, broken, used


def _picture(file: _File) -> tuple[Picture, int] | None:
    """The picture, written anew: nothing of the file but its pixels comes into the page. None where it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file.path, formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            small = image.convert("L" if image.mode in ("1", "L") else "RGB")
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError):  # what Pillow raises for damaged files
        return None
    factor = -(-small.width // WIDTH)
    small = small.reduce(factor) if factor > 1 else small
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    content = base64.b64encode(buffer.getvalue()).decode()
    return Picture(file.words, f"data:image/png;base64,{content}", small.width, small.height), len(content)

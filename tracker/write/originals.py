"""Which files of a folder a run would write anew: asked before it begins, when its pictures are not known yet."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from tracker.write.files import partial_path

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
NUMBERED = f"{'[0-9]' * 6}*.jpg"


def in_the_way(folder: Path, source: str | Path) -> Iterator[tuple[Path, Path | None]]:
    """Files in `folder` that annotated pictures would replace, each with the source's picture of its name, if any.

    Args:
        folder: for the annotated pictures; need not be there.
        source: a folder or glob of pictures, one picture, or anything else, whose frames are numbered.

    Raises:
        OSError: the folder, or the source, cannot be read.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    originals = _originals(source)
    if not originals:
        yield from ((path, None) for path in sorted(folder.glob(NUMBERED)))
    for name, original in originals.items():
        for path in (folder / name, partial_path(folder / name)):
            if path.exists():
                yield path, original


def _originals(source: str | Path) -> dict[str, Path]:
    """The source's pictures by the names that its frames will have; empty where it has none."""
    path = Path(source)
    if path.is_dir():
        return {each.name: each for each in sorted(path.iterdir()) if _is_picture(each)}
    if path.exists():
        return {path.name: path} if _is_picture(path) else {}
    found = [Path(name) for name in sorted(glob.glob(str(source), recursive=True)) if _is_picture(Path(name))]
    root = os.path.commonpath([each.parent for each in found]) if found else ""
    return {each.relative_to(root).as_posix(): each for each in found}


def _is_picture(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() in SUFFIXES

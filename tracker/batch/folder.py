"""The folder that an archive lies in: what in it is ours, and what is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tracker.batch.archive import Board
from tracker.batch.job import Plan
from tracker.batch.manifest import NAME, Manifest
from tracker.errors import OutputError

OURS = (
    NAME,
    f"{NAME}-journal",
    "report.html",
    "spool",
    "mot",
    "coco",
    "cvat",
    "labelstudio",
    "yolo",
    "jsonl",
    "parquet",
)
"""What an archive's folder holds."""
PICTURES = ("video", "crops")
"""Options, and folders that it holds besides with them."""


class Folder:
    """An archive on a disk. What only one in a store needs does nothing here."""

    behind, complete = 0, True
    """So many videos are done, but not in the store; all that there is, is there."""

    def __init__(self, folder: Path) -> None:
        """`folder` is there."""
        self.folder = folder
        self.name = str(folder)

    def prepare(self, *, overwrite: bool, going_on: bool, wanted: Sequence[str]) -> None:
        """Make sure that nothing of others is replaced.

        Args:
            overwrite: remove the archive that is there.
            going_on: an archive that is there is wanted.
            wanted: of PICTURES, those that are to be made.

        Raises:
            OutputError: something is there that is no archive's.
        """
        if overwrite and (self.folder / NAME).exists():
            clear(self.folder)
        if not (self.folder / NAME).exists():
            self._refuse_others(str(self.folder), ("fetched", *wanted), lambda place: (self.folder / place).exists())

    @property
    def report(self) -> str:
        """Where the report is."""
        return str(self.folder / "report.html")

    def begun(self) -> OutputError:
        """What to say where an archive is there and nobody said what to do with it."""
        return OutputError(
            f"{self.name} holds an archive; --resume goes on with it, --retrack tracks again, --overwrite begins anew"
        )

    def has(self, place: str) -> bool:
        """Whether the archive has this folder."""
        return (self.folder / place).is_dir()

    def need(self, names: Sequence[str]) -> None:
        """The spools of these videos are wanted on the disk, those that there are."""

    def forget(self, names: Sequence[str]) -> None:
        """The spools of these videos are worth nothing any more."""

    def start(self, plan: Plan) -> None:
        """The work begins."""

    def look(self, board: Board) -> None:
        """How far it is, a few times a second."""

    def finish(self) -> None:
        """All that there will be is there."""

    def close(self) -> None:
        """Let go of all."""

    @staticmethod
    def _refuse_others(where: str, more: Sequence[str], exists: Callable[[str], bool]) -> None:
        """Raise OutputError where something would be replaced that is no archive's."""
        for place in (*OURS, *more):
            if exists(place):
                raise OutputError(f"{where}/{place} exists, and no archive of tracker; choose another --output")


def clear(folder: Path) -> None:
    """Remove an archive; nothing else. The manifest goes last: it tells that the rest is ours."""
    for name in reversed((*OURS, "fetched", *pictures_of(folder))):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def pictures_of(folder: Path) -> list[str]:
    """Of the folders that are only there on request, those of the archive whose manifest is in `folder`."""
    try:
        manifest = Manifest(folder)
    except OutputError:  # of another version, or damaged
        return []
    try:
        about = manifest.about()
    finally:
        manifest.close()
    return [name for name in PICTURES if about.get(name)]

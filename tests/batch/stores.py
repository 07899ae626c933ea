"""A store that fails when it is told to, and an archive to be published."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

from tracker.batch.inputs import Video
from tracker.batch.job import DONE, FAILED, Outcome, Plan
from tracker.batch.manifest import Manifest
from tracker.config import make_settings


class FlakyFileSystem(MemoryFileSystem):
    """memory://, the next `fails` of whose reads and writes do not work; or all that match `broken`."""

    protocol = "flaky"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    fails = 0
    broken = ""
    error: ClassVar[OSError] = OSError(errno.EIO, "the net is gone")
    written: ClassVar[list[str]] = []
    """Paths in the order in which they were written."""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("flaky://", "memory://")))

    def put_file(self, lpath: str, rpath: str, *args: Any, **kwargs: Any) -> None:
        self._may_fail(rpath)
        super().put_file(lpath, rpath, *args, **kwargs)
        self.written.append(rpath)

    def pipe_file(self, path: str, *args: Any, **kwargs: Any) -> Any:
        self._may_fail(path)
        return super().pipe_file(path, *args, **kwargs)

    def cat_file(self, path: str, *args: Any, **kwargs: Any) -> Any:
        self._may_fail(path)
        return super().cat_file(path, *args, **kwargs)

    def get_file(self, rpath: str, *args: Any, **kwargs: Any) -> None:
        self._may_fail(rpath)
        super().get_file(rpath, *args, **kwargs)

    @classmethod
    def _may_fail(cls, path: str) -> None:
        if cls.broken and cls.broken in path:
            raise cls.error
        if cls.fails:
            cls.fails -= 1
            raise cls.error

    @classmethod
    def reset(cls) -> None:
        cls.store.clear()
        cls.written.clear()
        cls.pseudo_dirs[:] = [""]
        cls.fails, cls.broken, cls.error = 0, "", OSError(errno.EIO, "the net is gone")


fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)


def plan_of(folder: Path, formats: tuple[str, ...] = ("jsonl", "yolo")) -> Plan:
    return Plan(folder, make_settings(None, {}), formats)


def write_outputs(plan: Plan, name: str, text: str = "made") -> None:
    """What a worker leaves of a finished video."""
    spool = plan.spools / f"{name}.parquet"
    for path in (spool, plan.output / "jsonl" / f"{name}.jsonl", plan.output / "yolo" / name / "labels" / "f[0].txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text} of {name}", encoding="utf-8")


def begin_archive(plan: Plan, *names: str, broken: str = "") -> Manifest:
    """An archive of these videos, none of them done."""
    manifest = Manifest(plan.output)
    inputs = plan.output.parent / "inputs"
    inputs.mkdir(exist_ok=True)
    for name in names:
        (inputs / f"{name}.mp4").write_text(name, encoding="utf-8")
    about = {"formats": list(plan.formats), "video": plan.video, "crops": plan.crops}
    manifest.add([Video(name, inputs / f"{name}.mp4") for name in names], whole=False, **about)
    if broken:
        manifest.end(broken, Outcome(FAILED, "broken"))
    return manifest


def end_video(manifest: Manifest, plan: Plan, name: str, text: str = "made") -> None:
    """It is done."""
    write_outputs(plan, name, text)
    manifest.end(name, Outcome(DONE, frames=10))

"""`tracker annotate --output ADDRESS`: what is there is what a folder would hold."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

pytest.importorskip("pyarrow", reason="the extra 'annotate' is not installed")
pytest.importorskip("fsspec", reason="the extra 'annotate' is not installed")

import fsspec

from tests.batch.stores import FlakyFileSystem
from tests.cli.test_annotate import annotate, assert_same, last
from tracker.batch.stored import publisher, store
from tracker.cli.archive import ArchiveSession, working_folder
from tracker.config import make_settings
from tracker.errors import Interrupted, OutputError, UsageError, WriteError

FORMATS = "labelstudio,yolo,jsonl"  # in their order


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    """`in` with two videos, and `out`, which a run to a folder has made of them."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / "in").mkdir()
    for name in ("one", "two"):
        shutil.copy(clip, folder / "in" / f"{name}.mp4")
    done = annotate(folder / "in", "--output", folder / "out", "--format", FORMATS)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "annotate"


def there(archive: Path, tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A run to an address."""
    return annotate(archive / "in", "--output", f"file://{tmp_path}/far/labels/", "--format", FORMATS, *options)


def test_an_address_holds_what_a_folder_holds(archive: Path, tmp_path: Path, cache: Path) -> None:
    far = tmp_path / "far" / "labels"
    done = there(archive, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"report   file://{far}/report.html"
    assert_same(archive / "out", far)
    again = there(archive, tmp_path)
    assert again.returncode == 2
    assert last(again) == (
        f"tracker: file://{far} holds an archive; --resume goes on with it, --retrack tracks again, --overwrite "
        "begins anew"
    )
    shutil.rmtree(cache)  # another machine
    assert there(archive, tmp_path).returncode == 2
    resumed = there(archive, tmp_path, "--resume")
    assert resumed.returncode == 0 and "0 of them now" in resumed.stderr, resumed.stderr
    assert_same(archive / "out", far)
    shutil.rmtree(cache)
    tracked = annotate("nowhere", "--output", f"file://{far}", "--format", FORMATS, "--retrack", "--tracker", "sort")
    assert tracked.returncode == 0 and "fetching 2 spools" in tracked.stderr, tracked.stderr
    local = Path(shutil.copytree(archive / "out", tmp_path / "out"))
    assert annotate("nowhere", "--output", local, "--format", FORMATS, "--retrack", "--tracker", "sort").returncode == 0
    assert_same(local, far)


def test_killed_in_the_middle_and_resumed_it_is_the_same(archive: Path, tmp_path: Path, cache: Path) -> None:
    command = ["tracker", "annotate", str(archive / "in"), "--output", f"file://{tmp_path}/far/labels/"]
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "--format", FORMATS, "--workers", "1"], stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while not (tmp_path / "far" / "labels" / "manifest.sqlite").exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    done = there(archive, tmp_path, "--workers", "1", "--resume")
    assert done.returncode == 0, done.stderr
    assert_same(archive / "out", tmp_path / "far" / "labels")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--output", "labels", "--work", "here"), "--work goes with an --output such as s3://bucket/labels/"),
        (("--output", "https://host/labels"), "wanted a folder of a store"),
        (("--output", "s3://user:hunter2@bucket/labels"), "s3"),
        (("--output", "nosuch://bucket/labels"), "no address that can be read"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    options: tuple[str, ...], said: str, archive: Path, tmp_path: Path, cache: Path
) -> None:
    done = annotate(archive / "in", *options, cwd=tmp_path)
    assert done.returncode in (2, 4) and said in last(done) and len(done.stderr.strip().splitlines()) == 1
    assert "hunter2" not in done.stderr and not (tmp_path / "labels").exists()


def test_videos_are_not_written_where_they_would_be_inputs(archive: Path, tmp_path: Path, cache: Path) -> None:
    done = annotate(archive / "in", "--output", f"file://{archive}/in/labels", "--video", "--format", FORMATS)
    assert done.returncode == 2 and "where its videos would be inputs" in last(done)


class Stored:
    """Sessions to flaky://far/labels in this process."""

    def __init__(self, archive: Path, tmp_path: Path) -> None:
        self.archive, self.tmp_path = archive, tmp_path

    def run(self, **more: object) -> None:
        self.stop = Event()
        flags = {
            "inputs": (str(self.archive / "in"),), "output": "flaky://far/labels", "work": self.tmp_path / "work",
            "formats": tuple(FORMATS.split(",")), "stride": 1, "batch": 0, "require": None, "video": False, "crops": 0,
            "overwrite": False, "resume": False, "retrack": False, "retry_failed": False, "whole_hash": False,
            "workers": 1, "ray": None, "max_failures": None,
        }  # fmt: skip
        ArchiveSession(make_settings(None, {}), flags | more, self.stop).run()


@pytest.fixture
def stored(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stored]:
    FlakyFileSystem.reset()
    monkeypatch.setattr(store, "WAITS_S", (0.0,))
    yield Stored(archive, tmp_path)
    FlakyFileSystem.reset()


def copied(tmp_path: Path) -> Path:
    """What is in the store, in a folder."""
    fsspec.filesystem("flaky").get("/far/labels", str(tmp_path / "copy"), recursive=True)
    return tmp_path / "copy"


def test_a_store_that_fails_ends_in_a_line_and_the_rest_goes_there_next_time(
    stored: Stored, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    FlakyFileSystem.broken = "jsonl/"
    with pytest.raises(WriteError, match=r"0 of 2 finished videos are there, all are safe in .*work: --resume publish"):
        stored.run()
    assert "done:" not in capsys.readouterr().err, "nothing is said to be done that is not there"
    with pytest.raises(OutputError, match="holds an archive"):
        stored.run()
    FlakyFileSystem.broken = ""
    stored.run(resume=True)
    assert "done: 2 of 2 videos" in capsys.readouterr().err
    assert_same(archive / "out", copied(tmp_path))


def test_ended_while_it_publishes(
    stored: Stored, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put = FlakyFileSystem.put_file

    def slow(self: FlakyFileSystem, here: str, place: str) -> None:
        if "report.html" in place:
            stored.stop.set()  # Ctrl-C
        put(self, here, place)

    monkeypatch.setattr(FlakyFileSystem, "put_file", slow)
    monkeypatch.setattr(publisher, "LEAVE_S", 20.0)
    with pytest.raises(Interrupted, match="before all was in flaky://far/labels; --resume publishes the rest"):
        stored.run()
    assert "report   " + str(tmp_path / "work") in capsys.readouterr().out
    monkeypatch.undo()
    stored.run(resume=True)
    assert_same(archive / "out", copied(tmp_path))


def test_another_run_that_took_over_ends_this_one(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    put = FlakyFileSystem.put_file

    def overtaken(self: FlakyFileSystem, here: str, place: str) -> None:
        put(self, here, place)
        if "spool" in place:
            self.pipe("/far/labels/manifest.claim", b"another's")

    monkeypatch.setattr(FlakyFileSystem, "put_file", overtaken)
    with pytest.raises(OutputError, match="was published to from elsewhere"):
        stored.run()
    with pytest.raises(UsageError, match="was published to from elsewhere"):
        stored.run(resume=True)


def test_the_working_folder_of_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path))
    one = working_folder("s3://a/b/")
    assert one == working_folder("s3://a/b") != working_folder("s3://a/c") and one.is_relative_to(tmp_path)
    assert working_folder("sftp://u:one@h/b") == working_folder("sftp://u:two@h/b")

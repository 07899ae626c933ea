"""What is finished goes to the store, and nothing is called done there that is not."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event
from time import monotonic, sleep

import pytest

pytest.importorskip("fsspec", reason="the extra 'annotate' is not installed")
pytest.importorskip("pyarrow", reason="the extra 'annotate' is not installed")

import fsspec

from tests.batch.stores import FlakyFileSystem, begin_archive, end_video, plan_of, write_outputs
from tracker.batch.archive import Board
from tracker.batch.job import DONE
from tracker.batch.manifest import NAME, Manifest
from tracker.batch.stored.folder import PublishedFolder
from tracker.batch.stored.store import Store
from tracker.errors import OutputError, WriteError

URL = "flaky://far/labels/"
OF_A = {"jsonl/a.jsonl", "yolo/a/labels/f[0].txt", "spool/a.parquet"}
OF_B = {"jsonl/b.jsonl", "yolo/b/labels/f[0].txt", "spool/b.parquet"}
OWN = {"manifest.claim", NAME}


@pytest.fixture(autouse=True)
def flaky() -> Iterator[type[FlakyFileSystem]]:
    FlakyFileSystem.reset()
    yield FlakyFileSystem
    FlakyFileSystem.reset()


class Run:
    """One run of a machine with a working folder of its own."""

    def __init__(self, folder: Path, *, overwrite: bool = False, going_on: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.said, self.stop = folder, list[str](), Event()
        self.store = Store(URL, self.stop, (0.0,))
        self.place = PublishedFolder(folder, self.store, self.stop, self.said.append)
        self.place.prepare(overwrite=overwrite, going_on=going_on, wanted=())
        self.plan = plan_of(folder)

    def start(self, manifest: Manifest) -> Run:
        self.manifest = manifest
        self.place.start(self.plan)
        return self

    def end(self, name: str, text: str = "made") -> None:
        """A worker has done a video."""
        end_video(self.manifest, self.plan, name, text)
        self.place.look(self.board())

    def board(self) -> Board:
        states = [entry.state for entry in self.manifest.entries()]
        return Board(len(states), states.count(DONE))

    def finish(self) -> None:
        try:
            self.place.finish()
        finally:
            self.place.close()
            self.manifest.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """An archive of two videos that has just begun."""
    one = Run(tmp_path / "one")
    yield one.start(begin_archive(one.plan, "a", "b"))
    one.place.close()
    one.manifest.close()


def there() -> set[str]:
    """Places of all that is in the store."""
    return {path.removeprefix("/far/labels/") for path in fsspec.filesystem("flaky").find("/far/labels")}


def states(tmp_path: Path) -> dict[str, tuple[str, int]]:
    """What the manifest in the store says: states and frames."""
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(fsspec.filesystem("flaky").cat_file(f"/far/labels/{NAME}"))
    with closing(sqlite3.connect(copy)) as db:
        return {name: (state, frames) for name, state, frames in db.execute("SELECT name, state, frames FROM videos")}


def wait_for(what: Callable[[], bool]) -> None:
    until = monotonic() + 20
    while not what():
        assert monotonic() < until, "it did not happen"
        sleep(0.01)


def test_a_finished_video_is_there_before_the_manifest_says_so(run: Run, tmp_path: Path) -> None:
    wait_for(lambda: NAME in there())
    assert there() == OWN and states(tmp_path) == {"a": ("waiting", 0), "b": ("waiting", 0)}
    run.manifest.reached("b", 512)  # a segment that is on this disk only
    run.end("a")
    wait_for(lambda: states(tmp_path)["a"][0] == DONE)
    assert there() == OWN | OF_A and states(tmp_path)["b"] == ("waiting", 0)
    written = [path.removeprefix("/far/labels/") for path in FlakyFileSystem.written]
    assert written.index("spool/a.parquet") < len(written) - 1 - written[::-1].index(NAME)
    (run.folder / "report.html").write_text("report", encoding="utf-8")
    run.end("b")
    run.finish()
    assert run.place.complete and run.place.behind == 0 and run.place.report == "flaky://far/labels/report.html"
    assert there() == OWN | OF_A | OF_B | {"report.html"}


def test_a_store_that_fails_for_a_while_holds_nobody_up(run: Run, flaky: type[FlakyFileSystem], tmp_path: Path) -> None:
    wait_for(lambda: NAME in there())
    flaky.broken = "yolo/a"
    run.end("a")
    wait_for(lambda: any("trying again" in line for line in run.said))
    assert states(tmp_path)["a"][0] == "waiting"
    flaky.broken = ""
    run.end("b")
    wait_for(lambda: states(tmp_path)["a"][0] == DONE)
    run.finish()
    assert "flaky://far/labels can be used again" in run.said and run.place.complete


def test_a_store_that_fails_for_good_is_told_and_the_rest_goes_there_next_time(
    run: Run, flaky: type[FlakyFileSystem], tmp_path: Path
) -> None:
    run.end("a")
    wait_for(lambda: NAME in there() and states(tmp_path)["a"][0] == DONE)
    flaky.broken = "jsonl/b"
    run.end("b")
    with pytest.raises(WriteError, match=r"the net is gone; 1 of 2 finished videos are there, all are safe in .*one"):
        run.finish()
    assert not run.place.complete and states(tmp_path)["b"][0] == "waiting"
    flaky.broken = ""
    flaky.written.clear()
    again = Run(run.folder, going_on=True)
    again.start(Manifest(again.folder)).place.look(again.board())
    again.finish()
    assert again.place.complete and states(tmp_path)["b"][0] == DONE
    assert not any("a.jsonl" in path or "yolo/a" in path for path in flaky.written), "what is there is not put again"


def test_a_file_that_is_gone_from_here_is_no_success(run: Run, flaky: type[FlakyFileSystem]) -> None:
    flaky.broken = "a.jsonl"
    run.end("a")
    run.end("b")
    wait_for(lambda: any("trying again" in line for line in run.said))
    (run.folder / "jsonl" / "a.jsonl").unlink()
    with pytest.raises(WriteError, match=r"a\.jsonl is gone; --retrack makes it again"):
        run.finish()


def test_another_machine_goes_on_and_the_first_one_stops(run: Run, tmp_path: Path) -> None:
    run.end("a")
    wait_for(lambda: NAME in there() and states(tmp_path)["a"][0] == DONE)
    with pytest.raises(OutputError, match="holds an archive; --resume goes on with it"):
        Run(tmp_path / "two")
    other = Run(tmp_path / "two", going_on=True)
    assert [path.name for path in other.folder.iterdir() if path.is_file()] == [NAME], "no more than it takes"
    other.start(Manifest(other.folder))
    run.end("b", "made by the first machine")
    wait_for(run.stop.is_set)
    with pytest.raises(OutputError, match="was published to from elsewhere"):
        run.finish()
    other.end("b", "made by the second machine")
    other.finish()
    assert states(tmp_path) == {"a": (DONE, 10), "b": (DONE, 10)}
    assert fsspec.filesystem("flaky").cat_file("/far/labels/jsonl/b.jsonl") == b"made by the second machine of b"
    with pytest.raises(OutputError, match=r"was published to from elsewhere since .*one was worked in"):
        Run(run.folder, going_on=True)


def test_a_run_killed_while_it_put_its_claim_there_is_known_again(run: Run, tmp_path: Path) -> None:
    run.end("a")
    run.end("b")
    run.finish()
    record = run.place._record
    record.claiming("on its way")
    Run(run.folder, going_on=True)
    run.store.set_claim("on its way")
    Run(run.folder, going_on=True)
    run.store.set_claim("somebody else's")
    with pytest.raises(OutputError, match="from elsewhere"):
        Run(run.folder, going_on=True)


def test_spools_are_fetched_when_they_are_wanted(run: Run, tmp_path: Path, flaky: type[FlakyFileSystem]) -> None:
    run.end("a")
    run.end("b")
    run.finish()
    other = Run(tmp_path / "two", going_on=True)
    other.place.need(["a", "unknown"])
    assert (other.folder / "spool" / "a.parquet").read_text(encoding="utf-8") == "made of a"
    assert any(line.startswith("fetching 1 spool of flaky://far/labels") for line in other.said)
    flaky.written.clear()
    other.start(Manifest(other.folder)).place.look(other.board())
    other.finish()
    assert [path for path in flaky.written if "spool" in path] == [], "it came from there"
    other.place.forget(["a"])
    assert {place for place in there() if place.startswith("spool/")} == {"spool/b.parquet"}


def test_what_is_made_again_replaces_all_of_before(run: Run, tmp_path: Path) -> None:
    write_outputs(run.plan, "a")
    (run.folder / "yolo" / "a" / "labels" / "f1.txt").write_text("gone next time", encoding="utf-8")
    run.end("a")
    run.end("b")
    run.finish()
    assert "yolo/a/labels/f1.txt" in there()
    again = Run(run.folder, going_on=True)
    manifest = Manifest(again.folder)
    manifest.again([DONE])
    again.start(manifest)
    shutil.rmtree(again.folder / "yolo" / "a")
    again.end("a", "other tracks")
    again.end("b")
    again.finish()
    assert "yolo/a/labels/f1.txt" not in there() and "yolo/a/labels/f[0].txt" in there()
    assert fsspec.filesystem("flaky").cat_file("/far/labels/jsonl/a.jsonl") == b"other tracks of a"


def test_overwriting_removes_what_is_ours(run: Run, tmp_path: Path) -> None:
    run.end("a")
    run.end("b")
    run.finish()
    files = fsspec.filesystem("flaky")
    for other in ("notes.txt", "video/mine.mp4"):
        files.pipe(f"/far/labels/{other}", b"mine")
    fresh = Run(tmp_path / "two", overwrite=True)
    assert there() == {"manifest.claim", "notes.txt", "video/mine.mp4"}
    fresh.start(begin_archive(fresh.plan, "c"))
    fresh.end("c")
    fresh.finish()
    assert set(states(tmp_path)) == {"c"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_archive_stays(overwrite: bool, tmp_path: Path) -> None:
    files = fsspec.filesystem("flaky")
    files.pipe("/far/labels/coco/mine.json", b"{}")
    with pytest.raises(OutputError, match="flaky://far/labels/coco exists, and no archive"):
        Run(tmp_path / "one", overwrite=overwrite)
    assert files.cat_file("/far/labels/coco/mine.json") == b"{}"


def test_a_store_that_was_emptied_is_filled_again(run: Run, tmp_path: Path) -> None:
    run.end("a")
    run.end("b")
    run.finish()
    before = there()
    fsspec.filesystem("flaky").rm("/far/labels", recursive=True)
    again = Run(run.folder, going_on=True)
    assert any("is published again" in line for line in again.said)
    again.start(Manifest(again.folder)).place.look(again.board())
    again.finish()
    assert there() == before


def test_a_store_that_cannot_be_used_is_told_before_the_work(tmp_path: Path, flaky: type[FlakyFileSystem]) -> None:
    flaky.broken, flaky.error = "claim", PermissionError("Access Denied")
    with pytest.raises(OutputError, match="cannot be used: Access Denied; check the address"):
        Run(tmp_path / "one")


def test_a_working_folder_is_of_one_address(run: Run, tmp_path: Path) -> None:
    place = PublishedFolder(run.folder, Store("flaky://far/other", Event()), Event(), print)
    with pytest.raises(OutputError, match="holds the work for flaky://far/labels; choose another --work"):
        place.prepare(overwrite=False, going_on=True, wanted=())


def test_what_is_not_an_archives_is_left_alone(tmp_path: Path) -> None:
    """The working folder holds an archive, the store none, but somebody's files."""
    far, work = tmp_path / "far", tmp_path / "work"
    (far / "yolo" / "a").mkdir(parents=True)
    (far / "yolo" / "a" / "mine.txt").write_text("mine", encoding="ascii")
    work.mkdir()
    manifest = begin_archive(plan_of(work), "a")
    try:
        end_video(manifest, plan_of(work), "a", "made")
        place = PublishedFolder(work, Store(far.as_uri(), Event(), (0.0,)), Event(), lambda line: None)
        with pytest.raises(OutputError, match="yolo exists, and no archive"):
            place.prepare(overwrite=False, going_on=True, wanted=())
    finally:
        manifest.close()
    assert [path.name for path in far.rglob("*") if path.is_file()] == ["mine.txt"]

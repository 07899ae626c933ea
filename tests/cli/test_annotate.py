"""`tracker annotate` as a person calls it: folders in, annotations out, killed and resumed."""

from __future__ import annotations

import filecmp
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import av
import cv2
import pytest

pytest.importorskip("pyarrow", reason="the extra 'annotate' is not installed")

from benchmarks.archive_clips import excerpt
from engines.lock import locked
from tracker.batch.inputs import Video
from tracker.batch.manifest import Entry
from tracker.cli import archive as module
from tracker.config import make_settings
from tracker.errors import OutputError

SAMPLE = Path(__file__).parent.parent.parent / "samples" / "street.mp4"
FORMATS = "mot,coco,cvat,labelstudio,yolo,jsonl,parquet"


def annotate(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tracker", "annotate", *map(str, arguments)], capture_output=True, text=True,
        timeout=120, check=False, **options,
    )  # fmt: skip


def last(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of standard error."""
    return done.stderr.strip().splitlines()[-1]


def outputs(folder: Path) -> dict[str, Path]:
    """All that must not depend on how a run went."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {place: path for place, path in found.items() if not place.startswith("manifest.")}


def assert_same(one: Path, other: Path) -> None:
    mine, theirs = outputs(one), outputs(other)
    assert set(mine) == set(theirs)
    assert [place for place in mine if not filecmp.cmp(mine[place], theirs[place], shallow=False)] == []


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    """`in` with two videos and a broken one, and `out` annotated in all formats."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / "in" / "sub").mkdir(parents=True)
    assert excerpt(SAMPLE, folder / "in" / "street.mp4", 0)  # 60 frames
    shutil.copy(clip, folder / "in" / "sub" / "squares.mp4")
    (folder / "in" / "broken.mp4").write_bytes(clip.read_bytes()[:2000])
    done = annotate(folder / "in", "--output", folder / "out", "--format", FORMATS)
    assert done.returncode == 5, done.stderr
    assert last(done) == "tracker: 1 of 3 videos failed, see the report: broken"
    assert "failed: broken: " in done.stderr and "Traceback" not in done.stderr
    return folder


@pytest.fixture
def copy(archive: Path, tmp_path: Path) -> Path:
    """The same output, to be changed."""
    return Path(shutil.copytree(archive / "out", tmp_path / "out"))


def test_every_video_has_every_format(archive: Path) -> None:
    places = set(outputs(archive / "out"))
    for form, suffix in {"mot": ".zip", "coco": ".json", "cvat": ".xml", "labelstudio": ".json", "jsonl": ".jsonl",
                         "parquet": ".parquet"}.items():  # fmt: skip
        assert {f"{form}/street{suffix}", f"{form}/squares{suffix}"} <= places
    assert any(place.startswith("yolo/street/") for place in places)
    assert "labelstudio/labelling_config.xml" in places
    assert not any("partial" in place or "broken" in place for place in places)


def test_resuming_what_is_done_changes_nothing(archive: Path, copy: Path) -> None:
    done = annotate(archive / "in", "--output", copy, "--format", FORMATS, "--resume")
    assert done.returncode == 5 and "0 of them now" in done.stderr
    assert_same(archive / "out", copy)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--resume goes on with it"),
        (("--resume", "--score", "0.5"), "detect.score 0.25 before, 0.5 now"),
        (("--resume", "--tracker", "sort"), "tracker.name steady before, sort now"),
        (("--retrack", "--stride", "2"), "stride 1 before, 2 now"),
        (("--resume", "--overwrite"), "leave one out"),
        (("--format", "mot,xml"), "wanted some of mot,coco"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    options: tuple[str, ...], said: str, archive: Path, copy: Path
) -> None:
    done = annotate(
        archive / "in", "--output", copy, *(options if "--format" in options else ("--format", FORMATS, *options))
    )
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert_same(archive / "out", copy)


def test_a_changed_input_is_refused_by_name(archive: Path, copy: Path, tmp_path: Path) -> None:
    videos = Path(shutil.copytree(archive / "in", tmp_path / "in"))
    again = annotate(videos, "--output", tmp_path / "fresh", "--resume")  # on an empty folder --resume begins
    assert again.returncode == 5
    (videos / "street.mp4").write_bytes((videos / "street.mp4").read_bytes() + b"more")
    done = annotate(videos, "--output", tmp_path / "fresh", "--resume")
    assert done.returncode == 2 and "inputs changed" in done.stderr and "street.mp4" in done.stderr


def test_tracking_again_needs_no_video_and_no_detector(archive: Path, copy: Path, tmp_path: Path) -> None:
    done = annotate(archive / "in", "--output", copy, "--format", FORMATS, "--retrack", "--tracker", "bytetrack")
    assert done.returncode == 5, done.stderr
    before, after = outputs(archive / "out"), outputs(copy)
    assert not filecmp.cmp(before["jsonl/street.jsonl"], after["jsonl/street.jsonl"], shallow=False)
    assert filecmp.cmp(before["spool/street.parquet"], after["spool/street.parquet"], shallow=False)
    back = annotate(archive / "in", "--output", copy, "--format", FORMATS, "--retrack")
    assert back.returncode == 5
    assert_same(archive / "out", copy)


def test_one_process_a_folder(archive: Path, copy: Path) -> None:
    with locked(copy / "manifest.lock"):
        done = annotate(archive / "in", "--output", copy, "--resume")
    assert done.returncode == 2 and "another tracker annotate works in" in done.stderr


def test_a_folder_with_other_things_is_not_written_over(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "out" / "coco").mkdir(parents=True)
    (tmp_path / "out" / "coco" / "mine.json").write_text("{}", encoding="utf-8")
    done = annotate(clip, "--output", tmp_path / "out")
    assert done.returncode == 2 and "exists" in last(done)
    assert (tmp_path / "out" / "coco" / "mine.json").exists()


def test_nothing_but_broken_videos_is_bad_input(archive: Path, tmp_path: Path) -> None:
    done = annotate(archive / "in" / "broken.mp4", "--output", tmp_path / "out")
    assert done.returncode == 2 and "no video could be annotated; broken: " in last(done)


def test_an_address_gives_what_the_file_gives(archive: Path, tmp_path: Path) -> None:
    done = annotate(f"file://{archive}/in/street.mp4", "--output", tmp_path / "out", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    place = "jsonl/street.jsonl"
    assert filecmp.cmp(tmp_path / "out" / place, archive / "out" / place, shallow=False)
    assert not (tmp_path / "out" / "fetched").exists()


def session_of(folder: Path, **flags: object) -> module.ArchiveSession:
    return module.ArchiveSession(make_settings(None, {}), {"output": folder, "overwrite": False, **flags}, Event())


def test_a_folder_that_cannot_be_locked_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, waiting: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(module, "locked", refused)
    with pytest.raises(OutputError, match=r"manifest\.lock cannot be made: Permission denied; choose another --output"):
        session_of(tmp_path / "out").run()


@pytest.mark.parametrize("retrack", [False, True])
def test_secrets_of_an_address_come_from_the_command_line(
    retrack: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "https://host/a.mp4?X-Amz-Date=now&X-Amz-Signature=hidden"
    monkeypatch.setattr(module, "find_videos", lambda inputs, folder: [Video.at("a", text) for text in inputs])
    session = session_of(tmp_path, inputs=(url,), retrack=retrack)
    session._addresses = {video.place: video.url for video in session._named()}
    (entry,) = session._with_addresses([Entry(Video.at("a", "https://host/a.mp4?***"), None)])
    assert entry.video.url == url


def test_what_failed_is_tried_again_when_asked_for(archive: Path, copy: Path, tmp_path: Path, clip: Path) -> None:
    videos = Path(shutil.copytree(archive / "in", tmp_path / "in"))
    out = tmp_path / "fresh"
    assert annotate(videos, "--output", out, "--format", "jsonl").returncode == 5
    shutil.copy(clip, videos / "broken.mp4")
    assert annotate(videos, "--output", out, "--format", "jsonl", "--resume").returncode == 5
    done = annotate(videos, "--output", out, "--format", "jsonl", "--resume", "--retry-failed")
    assert done.returncode == 0, done.stderr
    assert filecmp.cmp(out / "jsonl" / "broken.jsonl", out / "jsonl" / "squares.jsonl", shallow=False)


def test_what_the_spools_lack_is_told(tmp_path: Path, clip: Path) -> None:
    shutil.copytree(clip.parent, tmp_path / "in")
    out = tmp_path / "out"
    assert annotate(tmp_path / "in", "--output", out, "--format", "jsonl", "--tracker", "sort").returncode == 0
    shutil.rmtree(tmp_path / "in")
    done = annotate(tmp_path / "in", "--output", out, "--format", "jsonl", "--retrack")
    assert done.returncode == 0, done.stderr
    assert "begun without camera_motion auto and appearance colour" in done.stderr


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_ended_in_the_middle_and_resumed_it_is_the_same(how: signal.Signals, archive: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tracker", "annotate", str(archive / "in"), "--output", str(tmp_path / "out"),
               "--format", FORMATS]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (tmp_path / "out" / "manifest.sqlite").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1.5)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert process.returncode == 130, said
        assert "--resume goes on" in said
    done = annotate(archive / "in", "--output", tmp_path / "out", "--format", FORMATS, "--resume")
    assert done.returncode == 5, done.stderr
    assert_same(archive / "out", tmp_path / "out")


def test_pictures_on_request(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = annotate(archive / "in" / "street.mp4", "--output", out, "--format", "jsonl", "--video", "--crops", "3")
    assert done.returncode == 0, done.stderr
    with av.open(str(out / "video" / "street.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 60
    lines = [json.loads(line) for line in (out / "jsonl" / "street.jsonl").read_text(encoding="utf-8").splitlines()]
    ids = {track["id"] for line in lines for track in line["tracks"]}
    folders = {int(path.name) for path in (out / "crops" / "street").iterdir()}
    assert ids and folders == ids
    for path in (out / "crops" / "street").rglob("*.jpg"):
        (line,) = [line for line in lines if line["index"] == int(path.stem)]
        (box,) = [track["box"] for track in line["tracks"] if track["id"] == int(path.parent.name)]
        height, width = cv2.imread(str(path)).shape[:2]
        assert (
            abs(width - (min(box[2], 768) - max(box[0], 0))) <= 2
            and abs(height - (min(box[3], 432) - max(box[1], 0))) <= 2
        )


def test_overwriting_removes_an_archive_and_nothing_else(archive: Path, copy: Path, tmp_path: Path) -> None:
    other = tmp_path / "datasets"
    (other / "coco").mkdir(parents=True)
    (other / "coco" / "mine.json").write_text("{}", encoding="utf-8")
    done = annotate(archive / "in", "--output", other, "--overwrite")
    assert done.returncode == 2 and "no archive" in last(done) and (other / "coco" / "mine.json").exists()
    (copy / "fetched").mkdir()
    (copy / "fetched" / "street.mp4").write_bytes(b"of an address that was called the same")
    (copy / "video").mkdir()  # not asked for: not ours
    done = annotate(archive / "in" / "sub", "--output", copy, "--format", "jsonl", "--overwrite")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in copy.iterdir()} == {"manifest.sqlite", "report.html", "spool", "jsonl", "video"}


def test_a_model_that_is_not_there_fails_no_video(archive: Path, tmp_path: Path) -> None:
    done = annotate(archive / "in" / "sub", "--output", tmp_path / "out", "--model", "missing.onnx")
    assert done.returncode == 2 and "missing.onnx does not exist" in last(done)
    assert "failed:" not in done.stderr


def test_tracking_again_without_the_videos_goes_on_after_a_kill(archive: Path, copy: Path, tmp_path: Path) -> None:
    videos = Path(shutil.copytree(archive / "in", tmp_path / "in"))
    begun = annotate(videos, "--output", tmp_path / "fresh", "--format", "jsonl")
    assert begun.returncode == 5, begun.stderr
    (videos / "street.mp4").unlink()
    with sqlite3.connect(tmp_path / "fresh" / "manifest.sqlite") as db:  # killed when nothing was tracked yet
        db.execute("UPDATE videos SET state = 'waiting' WHERE state = 'done'")
    db.close()
    (tmp_path / "fresh" / "coco").mkdir()
    done = annotate(videos, "--output", tmp_path / "fresh", "--format", "jsonl", "--retrack")
    assert done.returncode == 5, done.stderr
    assert "notice: coco in" in done.stderr

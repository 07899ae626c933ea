"""`tracker run` on pictures a minute apart, end to end: known when seen, tracked, shown, told; killed and resumed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import av
import cv2
import pytest

from tests.capture.test_exif import ORIGINAL, tiff, with_exif
from tests.test_cli import ROOT, frames_of, tracker
from tracker.cli.run import command
from tracker.errors import SourceError

STREET = ROOT / "samples" / "street.mp4"
NOON = datetime(2024, 6, 1, 12, tzinfo=timezone.utc)
FILES = ["--output", "o.mp4", "--jsonl", "o.jsonl", "--mot", "o.txt", "--summary", "o.json", "--stays", "o.csv"]


def write_pictures(folder: Path, count: int, every: int = 20) -> Path:
    """Each `every`-th frame of the rendered street, as a camera would have taken them one a minute."""
    folder.mkdir()
    with av.open(str(STREET)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            index, rest = divmod(number, every)
            if index == count:
                break
            if rest == 0:
                moment = (NOON + timedelta(minutes=index)).strftime("%Y:%m:%d %H:%M:%S")
                data = cv2.imencode(".jpg", frame.to_ndarray(format="bgr24"))[1].tobytes()
                (folder / f"IMG_{index:04d}.jpg").write_bytes(with_exif(data, tiff({ORIGINAL: moment})))
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("lapse") / "site", 14)


def summary_in(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "o.json").read_text())
    return result


def test_pictures_a_minute_apart_are_time_lapse(pictures: Path, tmp_path: Path) -> None:
    done = tracker("run", "--source", pictures, *FILES[:-2], "--pictures", "shown", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mode      sparse footage (time-lapse): a picture every 60 s" in done.stderr
    summary = summary_in(tmp_path)
    assert (summary["mode"], summary["tracker"], summary["offline"]) == ("timelapse", "sparse", True)
    assert (summary["model"]["name"], summary["model"]["views"]) == ("street6-rcnn", 2)
    assert summary["mode_evidence"] and summary["duration_s"] == 14 * 60
    assert summary["frames"] == {"captured": 14, "processed": 14, "dropped": {}, "in_flight": 0}
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [line["time_s"] for line in lines] == [60 * index for index in range(14)]
    assert lines[3]["file"] == "IMG_0003.jpg"
    assert frames_of(tmp_path / "o.mp4") == pytest.approx([index / 5 for index in range(14)])
    with (tmp_path / "o.stays.csv").open(newline="") as file:
        stays = list(csv.DictReader(file))
    ids = {str(track["id"]) for line in lines for track in line["tracks"]}
    assert {row["id"] for row in stays} == ids and len(ids) == summary["tracks"] > 5
    parked = [row for row in stays if row["class_name"] in ("car", "bicycle") and int(row["sights"]) > 10]
    assert len(parked) >= 2 and {row["moved"] for row in parked} == {"false"}, "what is parked is one track each"
    assert sorted(path.name for path in (tmp_path / "shown").iterdir()) == [f"IMG_{k:04d}.jpg" for k in range(14)]
    assert not list(tmp_path.glob("*.partial.*"))


def test_the_users_word_overrides(pictures: Path, tmp_path: Path) -> None:
    done = tracker("run", "--source", pictures, *FILES[:-2], "--mode", "video", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = summary_in(tmp_path)
    assert (summary["mode"], summary["tracker"], summary["offline"]) == ("video", "steady", False)
    assert summary["mode_evidence"] == ["asked for by --mode video"]
    assert frames_of(tmp_path / "o.mp4")[1] == pytest.approx(0.04) and not (tmp_path / "o.stays.csv").exists()


def test_a_time_lapse_file_whose_clock_is_a_players(tmp_path: Path) -> None:
    """Asked for, with other settings of the user's kept; without an interval the records keep the file's own times."""
    flags = ["--source", STREET, *FILES, "--mode", "timelapse", "--duration", 1, "--output-rate", 2, "--score", 0.4]
    done = tracker("run", *flags, "--tracker", "bytetrack", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = summary_in(tmp_path)
    assert (summary["tracker"], summary["offline"]) == ("bytetrack", False)
    assert summary["settings"]["detect"]["score"] == 0.4
    assert frames_of(tmp_path / "o.mp4")[1] == pytest.approx(0.5)
    done = tracker("run", *flags, "--interval", 30, "--overwrite", "--duration", 300, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [line["time_s"] for line in lines] == [30 * index for index in range(10)]


def test_settings_of_another_tracker_keep_it(pictures: Path, tmp_path: Path) -> None:
    done = tracker("run", "--source", pictures, *FILES, "--set", "tracker.confirm=1.2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert summary_in(tmp_path)["tracker"] == "steady"
    assert "the settings of time-lapse for 'tracker' do not go with those given" in done.stderr


def test_settings_of_the_modes_tracker_can_be_set(pictures: Path, tmp_path: Path) -> None:
    done = tracker(
        "run", "--source", pictures, *FILES, "--mode", "timelapse", "--set", "tracker.remember=7", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    settings = summary_in(tmp_path)["settings"]
    assert settings["tracker"]["remember"] == 7 and not settings["tracker"]["learn_scores"]


def test_ordinary_video_stays_what_it_is(tmp_path: Path) -> None:
    done = tracker("run", "--source", STREET, *FILES[:-2], "--duration", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = summary_in(tmp_path)
    assert (summary["mode"], summary["tracker"]) == ("video", "steady")
    assert "mode      ordinary video" in done.stderr and not (tmp_path / "o.stays.csv").exists()


def test_one_picture_only_and_none(pictures: Path, tmp_path: Path) -> None:
    done = tracker("run", "--source", pictures / "IMG_0000.jpg", *FILES, "--mode", "timelapse", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert summary_in(tmp_path)["frames"]["processed"] == 1
    (tmp_path / "empty").mkdir()
    done = tracker("run", "--source", "empty", "--mode", "timelapse", cwd=tmp_path)
    assert done.returncode == 2 and "holds no pictures" in done.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_in_the_first_pass_it_goes_on_with_the_same_result(tmp_path: Path) -> None:
    source = write_pictures(tmp_path / "site", 60, every=5)
    flags = ["--source", source, *FILES, "--set", "detect.input_size=1024", "--set", "detect.workers=1"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir(), cut.mkdir()
    done = tracker("run", *flags, cwd=whole)
    assert done.returncode == 0, done.stderr
    log = cut / "o.first-pass.partial.jsonl"
    command = [sys.executable, "-m", "tracker", "run", *map(str, flags)]
    with subprocess.Popen(command, cwd=cut, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as process:  # fmt: skip
        try:
            until_s = time.monotonic() + 60
            while (not log.exists() or log.read_bytes().count(b"\n") < 4) and time.monotonic() < until_s:
                time.sleep(0.005)
        finally:
            process.kill()
    assert 4 <= log.read_bytes().count(b"\n") < 61
    refused = tracker("run", *flags, cwd=cut)
    assert refused.returncode == 2 and "--resume" in refused.stderr
    other = tracker("run", *flags, "--resume", "--score", "0.3", cwd=cut)
    assert other.returncode == 2 and "the detector's settings changed" in other.stderr
    done = tracker("run", *flags, "--resume", cwd=cut)
    assert done.returncode == 0, done.stderr
    assert "frames are detected already" in done.stderr and not log.exists()
    for name in ("o.jsonl", "o.txt", "o.csv"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name


def test_resume_replaces_nothing_that_it_does_not_go_on_with(clip: Path, tmp_path: Path) -> None:
    """One pass, or two without a log: what an earlier run left stays, unless --overwrite is given too."""
    (tmp_path / "o.partial.mp4").write_bytes(b"the only recording")
    for more in ((), ("--offline",)):
        done = tracker("run", "--source", clip, "--output", "o.mp4", "--resume", *more, cwd=tmp_path)
        assert done.returncode == 2 and "begins anew" in done.stderr and "o.partial.mp4 exists" in done.stderr
        assert (tmp_path / "o.partial.mp4").read_bytes() == b"the only recording"


def test_pictures_that_change_between_the_passes_are_not_drawn_on(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps = iter((["before"], ["after"]))
    monkeypatch.setattr("tracker.cli.session.stamp_of", lambda source: next(stamps))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="changed while it was read"):
        command.main(["--source", str(pictures), "--no-video", "--mot", "o.txt"], standalone_mode=False)
    assert not (tmp_path / "o.txt").exists()

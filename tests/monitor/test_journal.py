"""The log: machines can read it, a flood does not fill the disk, no password is in it."""

from __future__ import annotations

import io
import json

from tracker.monitor.journal import Journal


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_json_lines_hold_what_is_told() -> None:
    out = io.StringIO()
    Journal(as_json=True, stream=out).tell("state", "up\nand well", camera="gate", level="warning", fps=25.0)
    line = json.loads(out.getvalue())
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warning", "event": "state", "camera": "gate", "message": "up and well", "fps": 25.0}


def test_text_is_one_line_for_people() -> None:
    out = io.StringIO()
    Journal(stream=out).tell("state", "down:\n refused", camera="gate", level="warning")
    assert out.getvalue().endswith("Z gate: warning: down: refused\n")


def test_a_flood_is_held_back_and_counted_each_camera_and_kind_by_itself() -> None:
    out, clock = io.StringIO(), Clock()
    journal = Journal(as_json=True, stream=out, clock=clock)
    for _ in range(1000):
        journal.tell("error", "again", camera="a")
    journal.tell("error", "once", camera="b")
    journal.tell("state", "other", camera="a")
    assert len(out.getvalue().splitlines()) == 5 + 2
    clock.now = 61.0
    journal.tell("error", "later", camera="a")
    assert json.loads(out.getvalue().splitlines()[-1])["held_back"] == 995


def test_passwords_never_appear() -> None:
    out = io.StringIO()
    for as_json in (False, True):
        journal = Journal(as_json=as_json, stream=out)
        journal.hide('s3"cret', "pw", "")
        journal.tell(
            "error", 'rtsp://u:other@h/x failed: s3"cret', detail={"said": ['s3"cret', "http://h/?token=t0ken"]}
        )
        journal.report('s3"cret')
    assert out.getvalue().count("***") == (2 + 1) + (2 + 2 + 1)
    for secret in ("cret", "other", "t0ken"):
        assert secret not in out.getvalue()


def test_a_closed_terminal_is_no_reason_to_stop() -> None:
    out = io.StringIO()
    out.close()
    Journal(stream=out).tell("state", "up")

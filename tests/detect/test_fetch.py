"""A download is whole and of the right SHA-256 under its name, or not there; over loopback, against a real server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.detect.server import CONTENT, SHA256, Behaviour, how, left, target, url
from tracker.detect.fetch import Wanted, check_address, fetch
from tracker.errors import TrackerError, WriteError

__all__ = ["how", "target", "url"]  # fixtures
ROOT = Path(__file__).parent.parent.parent


def test_whole(url: str, target: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    wanted = Wanted(url, target, SHA256.upper(), len(CONTENT))
    assert fetch(wanted, lambda done, total: steps.append((done, total)))
    assert target.read_bytes() == CONTENT and left(target) == {"m.onnx"}
    assert steps[-1] == (len(CONTENT), len(CONTENT))


def test_what_is_there_is_not_asked_for_again(url: str, target: Path, how: Behaviour) -> None:
    assert fetch(Wanted(url, target, SHA256))
    assert not fetch(Wanted(url, target, SHA256))
    assert len(how.asked) == 1


def test_a_damaged_file_is_replaced(url: str, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"damaged")
    assert fetch(Wanted(url, target, SHA256)) and target.read_bytes() == CONTENT


@pytest.mark.parametrize("pinned", [SHA256, ""])
def test_a_cut_connection_is_continued(url: str, target: Path, how: Behaviour, pinned: str) -> None:
    how.cut_after = [300_000, 200_000]
    assert fetch(Wanted(url, target, pinned))
    assert target.read_bytes() == CONTENT
    assert how.asked == ["", "bytes=300000-", "bytes=500000-"]


def test_what_was_left_is_continued_by_the_next_command(url: str, target: Path, how: Behaviour) -> None:
    how.cut_after = [100_000, 0, 0]
    with pytest.raises(TrackerError, match=r"cut off after 0\.1 MB; the same command continues"):
        fetch(Wanted(url, target, SHA256))
    assert left(target) == {"m.partial.onnx", "m.partial.onnx.etag"}
    how.cut_after = []
    assert fetch(Wanted(url, target, SHA256))
    assert how.asked[-1] == "bytes=100000-" and target.read_bytes() == CONTENT


def test_a_length_that_is_not_told_is_known_from_the_card(url: str, target: Path, how: Behaviour) -> None:
    how.tells_length, how.cut_after = False, [100_000]
    assert fetch(Wanted(url, target, "", len(CONTENT))) and target.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_all_again(url: str, target: Path, how: Behaviour) -> None:
    how.cut_after, how.ranges = [100_000], False
    assert fetch(Wanted(url, target, SHA256))
    assert target.read_bytes() == CONTENT


def test_another_file_on_the_server_begins_anew(url: str, target: Path, how: Behaviour) -> None:
    """The beginning of the old file is never joined to the end of the new one."""
    how.cut_after = [100_000, 0]
    with pytest.raises(TrackerError):
        fetch(Wanted(url, target))
    how.content, how.etag, how.cut_after = CONTENT[::-1], '"two"', []
    assert fetch(Wanted(url, target)) and target.read_bytes() == CONTENT[::-1]


def test_without_pin_and_mark_nothing_is_continued(url: str, target: Path, how: Behaviour) -> None:
    how.etag, how.cut_after = "", [100_000, 0]
    with pytest.raises(TrackerError):
        fetch(Wanted(url, target))
    how.content, how.cut_after = CONTENT[::-1], []
    assert fetch(Wanted(url, target)) and target.read_bytes() == CONTENT[::-1]


def test_a_whole_partial_file_is_only_checked(url: str, target: Path, how: Behaviour) -> None:
    target.parent.mkdir()
    (target.parent / "m.partial.onnx").write_bytes(CONTENT)
    assert fetch(Wanted(url, target, SHA256, len(CONTENT)))
    assert not how.asked and target.read_bytes() == CONTENT


def test_a_wrong_hash_deletes_it(url: str, target: Path, how: Behaviour) -> None:
    how.content = CONTENT[:-1] + b"?"
    with pytest.raises(TrackerError, match=f"wanted is {SHA256}; it was deleted") as caught:
        fetch(Wanted(url, target, SHA256, len(CONTENT)))
    assert caught.value.exit_code == 1 and not left(target)


def test_trust_on_first_use_is_recorded(url: str, target: Path, how: Behaviour) -> None:
    assert fetch(Wanted(url, target))
    assert (target.parent / "m.onnx.sha256").read_text() == f"{SHA256}  m.onnx\n"
    assert not fetch(Wanted(url, target))
    target.unlink()
    how.content = b"another"
    with pytest.raises(TrackerError, match="which the first download had"):
        fetch(Wanted(url, target))
    assert left(target) == {"m.onnx.sha256"}


def test_the_first_digits_of_a_hash_are_held_to(url: str, target: Path, how: Behaviour) -> None:
    """As torchvision publishes them; the rest of what comes first is recorded."""
    with pytest.raises(TrackerError, match="wanted is 0badf00d; it was deleted"):
        fetch(Wanted(url, target, "0badf00d"))
    assert not left(target)
    assert fetch(Wanted(url, target, SHA256[:8]))
    assert (target.parent / "m.onnx.sha256").read_text() == f"{SHA256}  m.onnx\n"
    assert not fetch(Wanted(url, target, SHA256[:8])) and len(how.asked) == 2
    target.write_bytes(b"damaged")
    assert fetch(Wanted(url, target, SHA256[:8])) and target.read_bytes() == CONTENT


@pytest.mark.parametrize("tells", [True, False])
def test_more_than_expected_is_refused(url: str, target: Path, how: Behaviour, tells: bool) -> None:
    how.tells_length = tells
    with pytest.raises(TrackerError, match=r"larger than the 0\.1 MB"):
        fetch(Wanted(url, target, SHA256, 100_000))
    assert not left(target)


@pytest.mark.parametrize(("status", "reason"), [(404, "404 Not Found"), (503, "503 Service Unavailable")])
def test_a_refusal_is_one_line(url: str, target: Path, how: Behaviour, status: int, reason: str) -> None:
    how.status = status
    with pytest.raises(TrackerError, match=f"the server says {reason}$"):
        fetch(Wanted(url, target, SHA256))


def test_nobody_there(target: Path) -> None:
    with pytest.raises(TrackerError, match=r"cannot be reached: .*refused"):
        fetch(Wanted("http://127.0.0.1:9/m.onnx", target, SHA256))


def test_redirects_are_followed(url: str, target: Path, how: Behaviour) -> None:
    how.location = url.replace("m.onnx", "there")
    assert fetch(Wanted(url, target, SHA256)) and target.read_bytes() == CONTENT


@pytest.mark.parametrize("location", ["http://192.0.2.1/m.onnx", "ftp://127.0.0.1/m", "file:///etc/passwd"])
def test_redirects_away_from_https_are_not(url: str, target: Path, how: Behaviour, location: str) -> None:
    how.location = location
    with pytest.raises(TrackerError):
        fetch(Wanted(url, target, SHA256))
    assert not left(target)


def test_a_circle_of_redirects_ends(url: str, target: Path, how: Behaviour) -> None:
    how.location = url
    with pytest.raises(TrackerError) as caught:
        fetch(Wanted(url, target, SHA256))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "first"),
    [
        ("http://example.org/m.onnx", "http://example.org/m.onnx"),
        ("file:///m.onnx", "file:///m.onnx"),
        ("http://127.0.0.1/m.onnx", "https://example.org/m.onnx"),
        ("m.onnx", "m.onnx"),
    ],
)
def test_addresses_that_are_refused(url: str, first: str) -> None:
    with pytest.raises(TrackerError, match="over https only"):
        check_address(url, first)


def test_https_is_taken() -> None:
    check_address("https://example.org/m.onnx", "https://example.com/m.onnx")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(url: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError, match="cannot be written"):
        fetch(Wanted(url, tmp_path / "models" / "m.onnx", SHA256))


def test_a_file_in_the_place_of_the_folder(url: str, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(WriteError, match="cannot be written"):
        fetch(Wanted(url, tmp_path / "models" / "m.onnx", SHA256))


CHILD = (
    "import sys; from pathlib import Path; from tracker.detect.fetch import Wanted, fetch\n"
    "print(fetch(Wanted(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))"
)


def test_a_killed_download_is_continued(url: str, target: Path, how: Behaviour) -> None:
    how.slow_s = 0.5
    partial = target.with_name("m.partial.onnx")
    with subprocess.Popen([sys.executable, "-c", CHILD, url, str(target), ""], cwd=ROOT) as child:
        end = time.monotonic() + 30
        while not (partial.exists() and partial.stat().st_size) and time.monotonic() < end:
            time.sleep(0.01)
        child.kill()
    how.slow_s = 0.0
    assert not target.exists()
    assert fetch(Wanted(url, target)) and target.read_bytes() == CONTENT
    assert how.asked[1].startswith("bytes=")


def test_two_processes_download_once(url: str, target: Path, how: Behaviour) -> None:
    how.slow_s = 0.1
    command = [sys.executable, "-c", CHILD, url, str(target), SHA256]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
    said = sorted(child.communicate(timeout=60)[0].strip() for child in children)
    assert said == ["False", "True"] and len(how.asked) == 1 and left(target) == {"m.onnx"}

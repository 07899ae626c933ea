"""The systemd unit and the Dockerfile call the command as it is."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tracker.cli.monitor import DRAIN_S, command
from tracker.monitor.station import STATUS_S
from tracker.monitor.systemd import READY, notify

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "tracker-monitor.service"
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    return unit["Service"]


def taken(arguments: list[str]) -> dict[str, object]:
    """What the command makes of these. Raises click.UsageError."""
    with command.make_context("monitor", list(arguments)) as context:
        return dict(context.params)


def instruction(name: str) -> str:
    """The arguments of the last instruction of this name."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{name} +(.*)$", joined, re.MULTILINE)[-1]


def test_the_unit_calls_the_command_and_gives_it_time_to_end() -> None:
    program, name, *arguments = shlex.split(service()["ExecStart"])
    assert (Path(program).name, name) == ("tracker", "monitor")
    given = taken(arguments)
    assert (str(given["config"]), str(given["data"])) == (
        "${CONFIGURATION_DIRECTORY}/cameras.yaml", "${STATE_DIRECTORY}"
    )  # fmt: skip
    assert str(given["serve"]).startswith("127.0.0.1:")
    assert float(service()["TimeoutStopSec"]) > DRAIN_S
    assert service()["ExecReload"] == "/bin/kill -HUP $MAINPID"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_knows_every_line_of_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/tracker/bin/tracker", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.name in line]) == (0, [])


def test_the_image_calls_the_command_without_rights_and_looks_after_it() -> None:
    entry, arguments = json.loads(instruction("ENTRYPOINT")), json.loads(instruction("CMD"))
    assert entry == ["tracker", "monitor"]
    given = taken(arguments)
    for folder in (Path(str(given["config"])).parent, Path(str(given["data"]))):
        assert str(folder) in json.loads(instruction("VOLUME"))
    port = str(given["serve"]).rpartition(":")[2]
    assert instruction("EXPOSE") == port
    assert f"127.0.0.1:{port}/healthz" in instruction("HEALTHCHECK")
    assert instruction("USER") == "tracker"
    copied = [part for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE) for part in line.split()[:-1]]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == allowed
    assert all((ROOT / part).exists() for part in copied)


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is of Linux")
@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_is_told(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"tracker-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}" if kind == "abstract" else name)
        listener.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if kind == "abstract" else str(tmp_path / name))
        notify(READY)
        assert listener.recv(99) == b"READY=1"
    notify(READY)  # nobody listens any more
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify(READY)


def test_the_unit_and_the_service_agree_on_who_says_what() -> None:
    assert service()["Type"] == "notify"
    assert float(service()["WatchdogSec"]) > 10 * STATUS_S

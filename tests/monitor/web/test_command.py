"""The command with its page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.monitor.fakes import wait_for
from tracker.cli import main


def test_the_command_serves_and_drains(tmp_path: Path, clip: Path) -> None:
    config = tmp_path / "cameras.yaml"
    config.write_text(f"cameras:\n  yard: {{source: '{clip}', loop: true}}\n")
    said = ""
    with subprocess.Popen(
        [sys.executable, "-m", "tracker", "monitor", "--config", str(config), "--serve", "127.0.0.1:0"],
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            address = re.search(r"serving at (http://127\.0\.0\.1:\d+/)", line)
            if address:
                asked = wait_ready(address[1])
                process.terminate()
    assert process.returncode == 0
    assert asked["detector"]["model"] == "street6"
    assert "Traceback" not in said


def wait_ready(address: str) -> dict[str, dict[str, str]]:
    """The figures, once it is ready."""

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"{address}readyz", timeout=20) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    wait_for(ready, 60.0)
    with urllib.request.urlopen(f"{address}api/status", timeout=20) as answer:
        status: dict[str, dict[str, str]] = json.load(answer)
    return status


@pytest.mark.parametrize(
    ("serve", "flags", "message"),
    [
        ("", ("--serve", "0.0.0.0:0"), "wants a token"),
        ("serve: {bind: '0.0.0.0:0'}", (), "wants a token"),
        ("serve: {bind: '0.0.0.0:0', token_env: NO_SUCH_TOKEN}", (), "NO_SUCH_TOKEN is not set"),
        ("", ("--serve", "8080"), "must be like 127.0.0.1:8080"),
        ("serve: {bind: '8080'}", (), "'serve.bind': an address to serve at must be like"),
        ("serve: {bnd: '127.0.0.1:0'}", (), "did you mean 'bind'?"),
    ],
)
def test_an_address_that_cannot_be_ends_it_at_once(
    tmp_path: Path, serve: str, flags: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "cameras.yaml"
    config.write_text(f"cameras: {{a: {{source: x}}}}\n{serve}\n")
    with pytest.raises(SystemExit) as caught:
        main(["monitor", "--config", str(config), *flags])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]

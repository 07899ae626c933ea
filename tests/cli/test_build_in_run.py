"""`tracker run` that compiles first: its progress as it comes, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tracker.cli import main

ROOT = Path(__file__).parent.parent.parent
CODE = """
import sys
from engines import build, tensorrt_plan
from engines.tensorrt_driver import Gpu
for module in (build, tensorrt_plan):
    module.find_gpu = lambda index=0: Gpu(0, "RTX 4090", "sm89", 580)
build.metadata.version = lambda package: "1.7"
build.WORKER = '''
import time
print("Tactics: 40%", flush=True)
time.sleep(120)
'''
from tracker.cli import main
main(sys.argv[1:])
"""


def test_a_warm_start_contradicts_a_requirement(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--source", str(clip), "--no-video", "--warm-start", "--require", "openvino"])
    assert ended.value.code == 2 and "--require names; leave one out" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_in_a_build_leaves_nothing(clip: Path, tmp_path: Path, number: signal.Signals) -> None:
    """The compiler's lines come while it works; the signal ends it at once."""
    cache = tmp_path / "cache"
    arguments = ["run", "--source", str(clip), "--output", "o.mp4", "--runtime", "tensorrt-rtx"]
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TRACKER_CACHE": str(cache)},
    )  # fmt: skip
    assert process.stderr is not None
    told = [process.stderr.readline() for _ in range(2)]
    assert told[0].startswith("compiling street6.onnx with tensorrt-rtx 1.7 (fp16)"), told
    assert told[1].startswith("compiling, ") and told[1].endswith(": Tactics: 40%\n"), told
    process.send_signal(number)
    _, rest = process.communicate(timeout=60)  # the compiler would take longer
    assert process.returncode == 130 and rest.strip() == "tracker: interrupted"
    assert not list((cache / "plans").iterdir()) and {path.name for path in tmp_path.iterdir()} == {"cache"}

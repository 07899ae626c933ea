"""What `tracker doctor` looks at. Whatever may crash or hang is looked at in a process of its own, with a time limit.

TensorRT 8 to 10 crash the process where there is no driver, and a broken CUDA hangs in its first call.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, distributions, metadata, version
from importlib.util import find_spec
from typing import Any

TIME_LIMIT_S = 60.0

DRIVER = """
from engines.tensorrt_driver import survey
tell(**survey())
"""
VIDEO = """
import av
def has(name, mode):
    try:
        av.codec.Codec(name, mode)
        return True
    except av.error.FFmpegError:
        return False
from av.codec.hwaccel import hwdevices_available
tell(version=av.__version__, libavcodec=".".join(map(str, av.library_versions["libavcodec"])),
     encoders=[name for name in ("libx264", "libx265", "h264_nvenc", "hevc_nvenc") if has(name, "w")],
     decoders=[name for name in ("h264", "hevc", "av1", "vp9", "mjpeg") if has(name, "r")],
     hardware=list(hwdevices_available()))
"""
OPENCV = """
import cv2
lines = [line.split() for line in cv2.getBuildInformation().splitlines()]
gui = next((words[1] for words in lines if words[:1] == ["GUI:"]), "NONE")
tell(version=cv2.__version__, windows=gui != "NONE")
"""
OPENVINO = """
from engines.quiet import import_openvino
openvino = import_openvino()
tell(version=openvino.get_version().split("-")[0], devices=list(openvino.Core().available_devices))
"""
ONNXRUNTIME = """
import onnxruntime
tell(version=onnxruntime.__version__,
     devices=[name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()
              if not name.startswith("Azure")])
"""
TORCH = """
import torch
cuda = torch.cuda.is_available()
tell(version=torch.__version__, devices=["CPU"] + (["CUDA " + str(torch.version.cuda)] if cuda else []))
"""
IMPORT = """
import {module}
tell(version={module}.__version__, devices=["CUDA"])
"""
NUMBA = """
from tracker.track import compiled
tell(backend=compiled.load(), reason=compiled.reason())
"""
DETECTOR = """
from tracker.config import DetectSettings
from tracker.detect import open_detector
detector, notices = open_detector(DetectSettings(), (768, 432), require={require!r})
tell(runtime=detector.engine.runtime, precision=detector.engine.precision, device=detector.engine.device,
     notices=notices)
detector.close()
"""
START = """
import sys
sys.path[:] = sys.argv[2].split(chr(10))
import json, os, warnings
warnings.simplefilter("ignore")
def tell(**facts):
    os.write(answer, json.dumps(facts).encode())
answer, _ = os.dup(1), os.dup2(2, 1)
try:
    exec(sys.argv[1], {"tell": tell, "__name__": "probe"})
except Exception as error:
    tell(error=f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
"""


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        state: "ok", "unused" (installed, and of no use to `run` here), "missing" (an option that is not there),
            "warning" (works, but not as well as it could), "broken".
        remedy: the one command, or the one thing to do, that changes it; empty where there is nothing to do.
        facts: the same for programs.
    """

    area: str
    name: str
    state: str
    text: str
    remedy: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


def asked(code: str, limit_s: float = TIME_LIMIT_S) -> dict[str, Any]:
    """What this code tells (`tell(key=value)`), run in a process of its own; `{"error": ...}` where it fails."""
    # The folder this stands in may hold anything; the process imports from where we do and from nowhere else.
    command = [sys.executable, "-c", START, code, "\n".join(path or os.getcwd() for path in sys.path)]
    try:
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {limit_s:.0f} s"}
    except OSError as error:
        return {"error": f"no process could be started: {error.strerror}"}
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"error": f"the process crashed (code {done.returncode})"}
    if "error" in told:
        told["error"] = " ".join(str(told["error"]).split())[:200]
    return told


def installed_version(package: str) -> str:
    """Version of an installed distribution, without importing it; empty where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def is_there(module: str) -> bool:
    """Whether a module can be found, without importing it."""
    return find_spec(module) is not None


def opencv_wheels() -> dict[str, str]:
    """Versions of the OpenCV wheels that are installed: several share the folder `cv2`, and the last one wins."""
    found = {str(item.metadata["Name"]).lower().replace("_", "-"): item.version for item in distributions()}
    return {name: found[name] for name in sorted(found) if name.startswith("opencv-")}


def bringing(extra: str, package: str) -> str:
    """The command that installs an optional library: by our extra where this installation has it, else by its name."""
    try:
        extras = metadata("tracker").get_all("Provides-Extra") or []
    except PackageNotFoundError:
        extras = []
    return f"pip install 'tracker[{extra}]'" if extra in extras else f"pip install {package}"

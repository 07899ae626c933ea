"""The import rule, from the bottom up.

structures, boxes, errors, config <- stages (never each other) <- pipeline <- monitor, batch <- cli.
exports <- report, both between `write` and batch.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = {"structures", "interfaces", "boxes", "errors", "config", "meters", "lazy"}
STAGES = ("capture", "detect", "track", "analyze", "write")
ALONE = {"evaluate", "detections", "sequences", "adapters"}  # beside the stages; the command line brings them together
ABOVE_WRITE = {"exports": {"exports"}, "report": {"exports", "report"}}
ABOVE_STAGES = {
    "pipeline": set(),
    "monitor": {"pipeline", "__version__", "monitor"},
    "batch": {"pipeline", "__version__", "batch", *ABOVE_WRITE},
}
HEAVY = ("pyarrow", "onnxruntime", "openvino", "torch", "tensorrt", "trackeval", "ultralytics", "ray")


def imports(path: Path) -> set[str]:
    """Absolute names of all modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return names


def allowed(path: Path) -> set[str]:
    """First parts below `tracker` that this file may import."""
    parts = path.relative_to(ROOT / "tracker").parts
    room = parts[0].removesuffix(".py")
    if room in CORE | ALONE:
        return CORE
    if room in STAGES:
        return CORE | {room}
    if room in ABOVE_WRITE:
        return CORE | {"write"} | ABOVE_WRITE[room]
    if room in ABOVE_STAGES:
        return CORE | set(STAGES) | ABOVE_STAGES[room]
    return CORE | set(STAGES) | {"pipeline", "monitor", "batch", "cli", "__version__"} | ALONE | set(ABOVE_WRITE)


@pytest.mark.parametrize("path", sorted((ROOT / "tracker").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_tracker_keeps_the_order_of_the_stages(path: Path) -> None:
    for name in imports(path):
        if name.startswith("tracker."):
            assert name.split(".")[1] in allowed(path), f"{path.name} must not import {name}"
        if name.split(".")[0] == "engines":
            parts = path.relative_to(ROOT / "tracker").parts
            assert parts[0] in ("detect", "cli") or parts == ("track", "appearance.py"), f"{path} imports {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "engines").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_engines_know_nothing_of_tracker(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] == "tracker"}


@pytest.mark.parametrize(
    "module",
    ["tracker", "engines", "tracker.pipeline", "tracker.detect", "tracker.exports", "tracker.report", "tracker.cli"],
)
def test_importing_needs_no_heavy_library(module: str) -> None:
    """Optional libraries are imported where they are used."""
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"

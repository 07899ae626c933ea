"""Plans are taken from the cache only if they are ours and unchanged; any other file only where the user names it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.cli.test_engine import Run, engine, needs
from tracker.config import DetectSettings
from tracker.detect import open_detector

__all__ = ["engine"]  # fixture
BUILD = ("build", "--model", "street6", "--runtime", "openvino", "--size", "256x160")


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the user's cache to the user")
@pytest.mark.parametrize("how", ["open to others", "another user's"])
def test_what_others_could_have_written_is_built_again(
    engine: Run,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs("openvino")
    plan = Path(engine(*BUILD)[1][0])
    assert engine("verify")[0] == 0 and "there already" in engine(*BUILD)[2][-2]
    if how == "open to others":
        plan.with_suffix(".bin").chmod(0o666)
    else:
        user = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: user + 1)
    code, out, err = engine("verify")
    assert code == 1 and out == [f"{plan.name}: another user made it or may change it"]
    code, out, err = engine(*BUILD)
    assert code == 0 and any(line.endswith("another user made it or may change it; building it again") for line in err)
    assert plan.with_suffix(".bin").stat().st_mode & 0o077 == 0


def test_a_file_elsewhere_is_loaded_by_its_name_only(engine: Run, tmp_path: Path) -> None:
    """The cache is searched for what it holds itself; a copy that anybody may change runs where it is named."""
    needs("openvino")
    engine(*BUILD, "--output", "here/m.xml")
    for path in (tmp_path / "here").iterdir():
        path.chmod(0o666)
    shutil.rmtree(tmp_path / "cache")
    assert any("compiling street6.onnx" in line for line in engine(*BUILD)[2]), "the copy is not found by itself"
    assert engine("verify", "here/m.xml")[:2] == (0, ["here/m.xml: whole, loads"])
    detector, _ = open_detector(DetectSettings(model="here/m.xml", workers=1), (256, 160))
    assert detector.engine.runtime.startswith("openvino")
    detector.close()

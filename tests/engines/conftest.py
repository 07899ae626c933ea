"""What several tests of engines share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engines import build, build_worker


@pytest.fixture
def export_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are exported in this process; in one of its own, as in the contract suite, PyTorch takes seconds."""

    def compile_it(request: build.Request, job: Path, say: Any) -> dict[str, Any]:
        before = Path.cwd()
        os.chdir(job)
        try:
            return build_worker._torch(json.loads(Path("job.json").read_text(encoding="utf-8")))
        finally:
            os.chdir(before)

    monkeypatch.setattr(build, "_compile", compile_it)

"""What the tests of exports share: networks with random weights, and what is exported of them, once each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.export import export
from engines.export_request import ARCHITECTURES, Exported, Request


@pytest.fixture
def random_weights() -> Any:
    pytest.importorskip("torch", reason="exporting needs torch: pip install 'tracker[torch]'")
    pytest.importorskip("torchvision", reason="exporting needs torchvision: pip install 'tracker[torch]'")
    from tests.engines import random_weights

    return random_weights


@dataclass(frozen=True)
class Made:
    """A network with random weights and what was exported of it."""

    network: Any
    model: Path
    told: Exported
    shown: list[np.ndarray]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Of an architecture, once for all tests: settling and tracing it takes most of the time."""
    pytest.importorskip("torchvision", reason="exporting needs torchvision: pip install 'tracker[torch]'")
    from tests.engines import random_weights

    known: dict[str, Made] = {}

    def make(name: str) -> Made:
        if name not in known:
            network, size = random_weights.network_of(name, 90), ARCHITECTURES[name].size
            sides = (size, size) if ARCHITECTURES[name].family == "ssd" else (256, 320)
            shown = random_weights.pictures(2, sides, seed=0)
            weights = random_weights.save(network, name, tmp_path_factory.mktemp(name))
            known[name] = Made(network, *exported(weights, shown), shown)
        return known[name]

    return make


def exported(weights: Path, shown: list[np.ndarray], **given: Any) -> tuple[Path, Exported]:
    request = {"architecture": "", "size": 0, "names": (), "pictures": shown, **given}
    output = weights.with_suffix(".onnx")
    return output, export(Request(weights=weights, output=output, **request), lambda line: None)

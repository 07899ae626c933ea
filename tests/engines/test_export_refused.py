"""Weights that are not what they are said to be are refused unread; a graph that disagrees is not written."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from engines.export_check import DisagreementError, ExportError
from tests.engines.exporting import exported, random_weights

__all__ = ["random_weights"]  # fixture


def test_other_weights_are_refused(random_weights, tmp_path: Path) -> None:
    import torch

    weights = random_weights.save(random_weights.network_of("ssdlite320", 90), "ssdlite320", tmp_path)
    for arch, reason in (("ssd300-vgg16", "no weights of ssd300-vgg16"), ("fasterrcnn-r50-fpn", "its last layer")):
        with pytest.raises(ExportError, match=reason) as caught:
            exported(weights, [], architecture=arch)
        assert "\n" not in str(caught.value) and "choose --arch" in str(caught.value)
    with pytest.raises(ExportError, match="unknown architecture 'ssd'"):
        exported(weights, [], architecture="ssd")
    with pytest.raises(ExportError, match="fixed at 320x320; leave --size out"):
        exported(weights, [], size=512)
    torch.save([1, 2], weights)
    with pytest.raises(ExportError, match="holds no state dict"):
        exported(weights, [])
    weights.write_bytes(b"nothing")
    with pytest.raises(ExportError, match="not a state dict that can be read"):
        exported(weights, [])
    assert {path.name for path in tmp_path.iterdir()} == {weights.name}


class Trap:
    """Runs when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_code_in_a_state_dict_does_not_run(random_weights, tmp_path: Path) -> None:
    import torch

    weights = tmp_path / "ssdlite320.pth"
    torch.save({"weight": Trap(tmp_path / "sprung")}, weights)
    with pytest.raises(ExportError, match="without running its code"):
        exported(weights, [])
    weights.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(ExportError, match="without running its code"):
        exported(weights, [])
    assert not (tmp_path / "sprung").exists()


def test_a_graph_that_disagrees_is_not_written(random_weights, tmp_path: Path, monkeypatch) -> None:
    from engines import export_torchvision

    shown = random_weights.pictures(1, (320, 320))
    weights = random_weights.save(random_weights.network_of("ssdlite320", 90), "ssdlite320", tmp_path)
    both = export_torchvision._both

    def shifted(*given: Any) -> Any:
        wanted, found = both(*given)
        return wanted, [(boxes + 1, scores, labels) for boxes, scores, labels in found]

    monkeypatch.setattr(export_torchvision, "_both", shifted)
    with pytest.raises(DisagreementError, match=r"agree on 0\.0 % of .* nothing was written"):
        exported(weights, shown)
    assert {path.name for path in tmp_path.iterdir()} == {weights.name}

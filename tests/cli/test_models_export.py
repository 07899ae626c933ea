"""`tracker models export`, and `fetch` of what is exported after it: exit codes, cards, nothing by halves."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from engines.export_check import Agreement
from engines.export_request import Exported
from tests.cli.test_models import cache, carry, tracker  # noqa: F401
from tests.detect.graphs import COUNT, save
from tests.detect.server import Behaviour, how, url  # noqa: F401
from tracker.cli.models_export import write_card
from tracker.config import DetectSettings
from tracker.detect import ModelCard, find_card, open_detector, zoo
from tracker.detect.card import COCO_CLASSES, Checkpoint

FIGURES = Agreement(pictures=4, boxes=123, share=1.0, px=0.0123456, score=0.000123456)


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("engines.export_torchvision", "engines.export_networks"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)


def test_bad_usage_is_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, output = tmp_path / "ssdlite320.pth", tmp_path / "m.onnx"
    assert tracker("models", "export", weights, "--output", output) == 2
    assert "do not exist" in capsys.readouterr().err
    weights.write_bytes(b"x")
    assert tracker("models", "export", weights, "--output", tmp_path / "m.pt") == 2
    assert "must end in .onnx" in capsys.readouterr().err
    assert tracker("models", "export", weights, "--output", output, "--size", 333) == 2
    assert "multiple of 32" in capsys.readouterr().err
    assert tracker("models", "export", weights, "--output", output, "--arch", "vgg") == 2
    assert "unknown architecture 'vgg'; known are ssd300-vgg16" in capsys.readouterr().err
    for taken in (output, tmp_path / "m.yaml"):
        taken.write_text("mine")
        assert tracker("models", "export", weights, "--output", output) == 2
        assert f"{taken} exists; add --overwrite" in capsys.readouterr().err and taken.read_text() == "mine"
        taken.unlink()
    assert {path.name for path in tmp_path.iterdir()} == {weights.name}


def test_without_torch_it_is_exit_4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    without_torch(monkeypatch)
    (tmp_path / "ssdlite320.pth").write_bytes(b"x")
    assert tracker("models", "export", tmp_path / "ssdlite320.pth", "--output", tmp_path / "m.onnx") == 4
    assert "pip install 'tracker[torch]'" in capsys.readouterr().err


def test_the_card_is_one_that_opens(tmp_path: Path) -> None:
    output = np.zeros((1, 7, COUNT))
    model = save(tmp_path / "mine.onnx", {"output0": output})
    (tmp_path / "mine.yaml").write_text("name: old\nfile: mine.onnx\nsha256: '00'\n")
    (tmp_path / "best.pt").write_bytes(b"weights")
    names = ("a", "b: c", "d")
    write_card(tmp_path / "mine.yaml", model, tmp_path / "best.pt", Exported("ultralytics", names, 96, FIGURES))
    card, _ = find_card(str(model))
    assert card is not None and (card.head, card.classes, card.licence) == ("yolov8", names, "AGPL-3.0")
    assert card.input.size == 96 and card.input.scale == pytest.approx(1 / 255) and card.input.anchor == "center"
    assert card.notes["agreement"] == {
        "pictures": 4,
        "boxes": 123,
        "share": 1.0,
        "most_px": 0.012,
        "most_score": 0.00012,
    }
    assert card.notes["weights_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert (
        open_detector(DetectSettings(model=str(model), runtime="onnxruntime", workers=1), None)[0].class_names == names
    )
    assert {path.suffix for path in tmp_path.iterdir()} == {".onnx", ".yaml", ".pt"}


def test_the_card_of_coco_is_short(tmp_path: Path) -> None:
    model = save(tmp_path / "m.onnx", {"output0": np.zeros((1, 84, COUNT))})
    (tmp_path / "w.pth").write_bytes(b"weights")
    write_card(tmp_path / "m.yaml", model, tmp_path / "w.pth", Exported("torchvision", COCO_CLASSES, 96, FIGURES))
    assert yaml.safe_load((tmp_path / "m.yaml").read_text())["classes"] == "coco"
    assert "weights have terms of their own" in (tmp_path / "m.yaml").read_text()


def published(monkeypatch: pytest.MonkeyPatch, at: str, sha256: str) -> ModelCard:
    """SSDLite's card, its weights on this machine."""
    weights = Checkpoint(arch="ssdlite320", url=at.replace("m.onnx", "lite-12345678.pth"), sha256=sha256)
    given = zoo()["ssdlite320"].model_copy(update={"checkpoint": weights})
    carry(monkeypatch, given)
    return given


def test_fetched_weights_without_torch_are_kept(
    url: str, how: Behaviour, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    without_torch(monkeypatch)
    published(monkeypatch, url, hashlib.sha256(how.content).hexdigest()[:8])
    for _ in range(2):
        assert tracker("models", "fetch", "ssdlite320") == 4
        said = capsys.readouterr().err
        assert (
            "lite-12345678.pth is here" in said and "pip install 'tracker[torch]', then again: tracker models" in said
        )
    assert (cache / "models" / "lite-12345678.pth").read_bytes() == how.content and len(how.asked) == 1
    assert not (cache / "models" / "ssdlite320.onnx").exists()


def test_weights_with_another_hash_are_exit_1(
    url: str, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    published(monkeypatch, url, "12345678")
    assert tracker("models", "fetch", "ssdlite320") == 1
    assert "wanted is 12345678; it was deleted" in capsys.readouterr().err
    assert not list((cache / "models").glob("*.pth"))


def test_what_nobody_publishes(capsys: pytest.CaptureFixture[str]) -> None:
    assert tracker("models", "fetch", "ssd512-vgg16") == 2
    said = capsys.readouterr().err
    assert "nobody publishes weights of ssd512-vgg16" in said and said.count("\n") == 1


def test_from_weights_to_detections(
    url: str, how: Behaviour, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Both ways: `export` of a file, and `fetch` of a card."""
    pytest.importorskip("torchvision", reason="exporting needs torchvision: pip install 'tracker[torch]'")
    from tests.engines import random_weights

    weights = random_weights.save(random_weights.network_of("ssdlite320", 90), "ssdlite320", tmp_path)
    model = tmp_path / "m.onnx"
    assert tracker("models", "export", weights, "--output", model) == 0
    said = capsys.readouterr()
    assert f"exported: {model} (" in said.out and "checked  torch and ONNX Runtime agree on 100.0 % of" in said.out
    assert "no code in it runs" in said.err
    assert yaml.safe_load(model.with_suffix(".yaml").read_text())["classes"] == "coco91"
    assert tracker("models", "info", model) == 0
    assert "head     ssd\npicture  320 pixels, RGB times 1, stretched" in capsys.readouterr().out
    assert tracker("models", "export", weights, "--output", model) == 2
    assert tracker("models", "export", weights, "--output", model, "--overwrite") == 0

    how.content = weights.read_bytes()
    published(monkeypatch, url, hashlib.sha256(how.content).hexdigest()[:8])
    assert tracker("models", "fetch", "ssdlite320") == 0
    assert "fetched: " in capsys.readouterr().out
    assert tracker("models", "fetch", "ssdlite320") == 0
    assert "here already: " in capsys.readouterr().out and len(how.asked) == 1
    settings = DetectSettings(model="ssdlite320", runtime="onnxruntime", workers=1)
    detector, _ = open_detector(settings, (640, 360))
    assert detector.identity.head == "ssd" and detector.class_names[0] == "person"

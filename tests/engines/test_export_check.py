"""What exporting does without torch: which architecture it is, what is no weights, whether two agree."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from engines import EngineUnavailable
from engines.export import architecture_of, export
from engines.export_check import Agreement, DisagreementError, ExportError, Found, accept, compare
from engines.export_request import Request


def test_the_architecture_is_read_off_published_names() -> None:
    for file, name in {
        "ssd300_vgg16_coco-b556d3b4.pth": "ssd300-vgg16",
        "ssdlite320_mobilenet_v3_large_coco-a79551df.pth": "ssdlite320",
        "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth": "fasterrcnn-r50-fpn",
        "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth": "fasterrcnn-r50-fpn-v2",
        "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth": "fasterrcnn-mobilenet",
        "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth": "fasterrcnn-mobilenet-320",
        "fasterrcnn-mobilenet-320.pth": "fasterrcnn-mobilenet-320",
        "SSD512-VGG16_mine.pth": "ssd512-vgg16",
    }.items():
        assert architecture_of(Path(file)) == name
    with pytest.raises(ExportError, match=r"last\.pth does not tell its architecture; add --arch ssd300-vgg16\|"):
        architecture_of(Path("last.pth"))


@pytest.mark.parametrize(
    ("name", "reason"), [("none.pth", "do not exist"), ("m.onnx", "suffix '.onnx'"), ("m.safetensors", "suffix")]
)
def test_what_is_no_weights(tmp_path: Path, name: str, reason: str) -> None:
    if name != "none.pth":
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ExportError, match=reason):
        export(Request(tmp_path / name, tmp_path / "o.onnx", "", 0, (), []), lambda line: None)


@pytest.mark.parametrize(("name", "extra"), [("ssdlite320.pth", "torch"), ("yolo11n.pt", "ultralytics")])
def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch, name: str, extra: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    for module in ("engines.export_torchvision", "engines.export_networks"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    with pytest.raises(EngineUnavailable, match=rf"pip install 'tracker\[{extra}\]'"):
        export(Request(tmp_path / name, tmp_path / "o.onnx", "", 0, (), []), lambda line: None)


def boxes(*rows: tuple[float, ...]) -> Found:
    table = np.array(rows, np.float64).reshape(-1, 6)
    return table[:, :4], table[:, 4], table[:, 5].astype(np.int64)


def test_agreement_is_counted_both_ways() -> None:
    one, two = (10, 10, 50, 50, 0.9, 1), (60, 60, 90, 90, 0.4, 2)
    same = compare([boxes(one, two)], [boxes(two, (10.25, 10, 50, 50, 0.901, 1))])
    assert (same.pictures, same.boxes, same.share) == (1, 2, 1.0)
    assert same.px == pytest.approx(0.25) and same.score == pytest.approx(0.001)
    assert compare([boxes(one)], [boxes(one, two)]).share == pytest.approx(2 / 3)
    assert compare([boxes(one, two)], [boxes(one)]).share == pytest.approx(2 / 3)
    assert compare([boxes(one)], [boxes()]).share == 0
    for other in ((10.6, 10, 50, 50, 0.9, 1), (10, 10, 50, 50, 0.9, 2), (10, 10, 50, 50, 0.894, 1)):
        assert compare([boxes(one)], [boxes(other)]).share == 0


def test_boxes_at_the_limit_of_a_list_or_of_the_score_do_not_count() -> None:
    weak, weaker = (0, 0, 9, 9, 0.052, 1), (20, 20, 40, 40, 0.3, 1)
    assert compare([boxes(weak)], [boxes()]).boxes == 0
    strong = (50, 50, 80, 80, 0.9, 3)
    full = compare([boxes(strong, weaker)], [boxes(strong, (20, 90, 40, 99, 0.301, 1))], most=2)
    assert full.share == 1 and full.boxes == 1


def test_too_little_agreement_is_refused() -> None:
    good = Agreement(2, 200, 0.99, 0.1, 0.001)
    assert accept(good, "m") is good and "agree on 99.0 % of 200 boxes on 2 pictures" in str(good)
    with pytest.raises(DisagreementError, match=r"graph of m is wrong: .* 98\.9 % .* wanted is 99 %"):
        accept(Agreement(2, 200, 0.989, 0.1, 0.001), "m")
    assert "both find nothing on 2 pictures" in str(Agreement(2, 0, 1.0, 0.0, 0.0))

"""`tracker models`: the list is true, fetched models open, nothing is downloaded without being asked for."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.export_request import ARCHITECTURES
from tests.detect.graphs import raw_grid, save
from tests.detect.server import Behaviour, how, url  # noqa: F401
from tracker.cli import main
from tracker.config import DetectSettings
from tracker.detect import ModelCard, card, find_card, open_detector, zoo
from tracker.detect.heads import HEADS
from tracker.errors import ModelError

ROOT = Path(__file__).parent.parent.parent
YOLOX = ["yolox-l", "yolox-m", "yolox-nano", "yolox-s", "yolox-tiny", "yolox-x"]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def tracker(*arguments: object) -> int:
    """Exit code of a command in this process."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


def carry(monkeypatch: pytest.MonkeyPatch, given: ModelCard) -> None:
    """Make it a card of the zoo."""
    cards = zoo() | {given.name: given}
    monkeypatch.setattr("tracker.detect.zoo", lambda: cards)
    monkeypatch.setattr("tracker.detect.card.zoo", lambda: cards)


def test_every_card_is_one_that_can_be_had_and_opened() -> None:
    cards = zoo()
    assert {name for name, given in cards.items() if given.url} >= set(YOLOX)
    assert all(card.file_of(given).exists() for given in cards.values() if given.carried)
    for name in YOLOX:
        given = cards[name]
        assert given.url.startswith("https://") and given.url.endswith(f"/{given.file}")
        assert len(given.sha256) == 64 and given.size > 1_000_000 and given.head in HEADS
        assert given.classes == card.COCO_CLASSES and given.ap and 0.2 < given.ap < 0.6 and "terms" in given.notes
        assert given.input == card.InputCard(size=given.input.size, color="bgr", scale=1.0, anchor="top-left", pad=114)


TORCHVISION = {
    "ssd300-vgg16": ("ssd300_vgg16_coco-b556d3b4", 0.251),
    "ssdlite320": ("ssdlite320_mobilenet_v3_large_coco-a79551df", 0.213),
    "fasterrcnn-r50-fpn": ("fasterrcnn_resnet50_fpn_coco-258fb6c6", 0.370),
    "fasterrcnn-r50-fpn-v2": ("fasterrcnn_resnet50_fpn_v2_coco-dd69338a", 0.467),
    "fasterrcnn-mobilenet": ("fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7", 0.328),
    "fasterrcnn-mobilenet-320": ("fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9", 0.228),
}
"""Files and AP (COCO val2017) as torchvision's documentation has them."""


@pytest.mark.parametrize("name", [*TORCHVISION, "ssd512-vgg16"])
def test_cards_of_what_is_exported_here(name: str) -> None:
    given = zoo()[name]
    weights, arch = given.checkpoint, ARCHITECTURES[name]
    assert weights is not None and weights.arch == name and not given.carried and given.file == f"{name}.onnx"
    assert given.head == arch.family and given.input.size == arch.size and given.input.scale == 1.0
    assert given.input.anchor == ("stretch" if given.head == "ssd" else "top-left")
    assert given.precision == ("fp32" if given.head == "fasterrcnn" else "auto")
    assert len(given.classes) == 90 and given.classes.count("N/A") == 10
    if name == "ssd512-vgg16":
        assert not weights.url and given.ap is None and "paper" in given.notes["source"]
        return
    file, ap = TORCHVISION[name]
    assert weights.url == f"https://download.pytorch.org/models/{file}.pth" and given.ap == ap
    assert (
        weights.sha256 == file.split("-")[1]
        and given.licence == "BSD-3-Clause"
        and "torchvision" in given.notes["source"]
    )


@pytest.mark.data
def test_a_real_yolox_runs_by_its_card(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shared copy of YOLOX-Nano has other bytes than the release, and the same network."""
    path = data / "weights" / "yolox_nano_416x416.onnx"
    given = zoo()["yolox-nano"].model_copy(update={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    carry(monkeypatch, given)
    (cache / "models").mkdir(parents=True)
    (cache / "models" / given.file).write_bytes(path.read_bytes())
    settings = DetectSettings(model="yolox-nano", runtime="onnxruntime", workers=1)
    detector, _ = open_detector(settings, (640, 480))
    assert (detector.identity.name, detector.identity.head) == ("yolox-nano", "yolox")
    assert detector.class_names == card.COCO_CLASSES


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert tracker("models", "list") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {line[0] for line in lines if line} >= zoo().keys()
    assert ["yolox-s", "35.9", "640", "80", "40.5", "Apache-2.0", "no"] in lines
    assert ["ssd300-vgg16", "142.6", "300", "80", "25.1", "BSD-3-Clause", "no"] in lines
    assert ["ssd512-vgg16", "-", "512", "80", "-", "none", "published", "no", "weights", "published"] in lines


def test_info_of_a_model_that_is_not_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert tracker("models", "info", "yolox-s") == 0
    out = capsys.readouterr().out
    assert "tracker models fetch yolox-s (35.9 MB from https://" in out and "640 pixels, BGR times 1, top-left" in out


def test_info_of_what_is_exported_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert tracker("models", "info", "ssdlite320") == 0
    out = capsys.readouterr().out
    assert "tracker models fetch ssdlite320 (14.1 MB from https://download.pytorch.org/" in out
    assert "320 pixels, RGB times 1, stretched" in out and "N/A" not in out
    assert tracker("models", "info", "ssd512-vgg16") == 0
    assert "export WEIGHTS.pth --arch ssd512-vgg16 --output ssd512-vgg16.onnx" in capsys.readouterr().out


def test_run_says_how_to_get_it(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tracker("run", "--source", clip, "--model", "yolox-s", "--no-video") == 2
    assert "model yolox-s is not here yet; fetch it with: tracker models fetch yolox-s" in capsys.readouterr().err


def test_fetched_models_open(
    url: str, how: Behaviour, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    how.content = save(tmp_path / "m.onnx", {"output": raw_grid(80)}).read_bytes()
    given = ModelCard(name="small", file="m.onnx", url=url, head="yolox", classes=card.COCO_CLASSES)
    carry(monkeypatch, given)
    assert tracker("models", "fetch", "small") == 0
    said = capsys.readouterr()
    assert "no SHA-256 of small is known" in said.err
    assert said.out.startswith(f"fetched: {cache / 'models' / 'm.onnx'}\nsha256   ")
    assert tracker("models", "fetch", "small") == 0
    assert "here already" in capsys.readouterr().out
    assert tracker("models", "list") == 0
    assert any(line.startswith("small ") and line.endswith("fetched") for line in capsys.readouterr().out.splitlines())
    settings = DetectSettings(model="small", runtime="onnxruntime", workers=1)
    assert open_detector(settings, (96, 64))[0].identity.head == "yolox"
    (cache / "models" / "m.onnx").write_bytes(b"damaged")
    with pytest.raises(ModelError, match=r"damaged: .* fetch it again: tracker models fetch small"):
        find_card("small")


def test_a_wrong_hash_is_exit_1(
    url: str,  # noqa: F811
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    carry(monkeypatch, ModelCard(name="small", file="m.onnx", url=url, sha256="0" * 64))
    assert tracker("models", "fetch", "small") == 1
    assert "it was deleted" in capsys.readouterr().err and not list((cache / "models").glob("*.onnx"))


def test_fetch_of_what_needs_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert tracker("models", "fetch", "street6") == 0
    assert "part of the package" in capsys.readouterr().out
    assert tracker("models", "fetch", "yolox_s") == 2
    assert "did you mean 'yolox-s'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["best.pt", "best.pth", "m.pkl", "m.ckpt", "m.pth.tar"])
def test_pickles_are_refused_with_the_way_out(name: str, tmp_path: Path, clip: Path, capsys) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    assert tracker("run", "--source", clip, "--model", tmp_path / name, "--no-video") == 2
    said = capsys.readouterr().err
    way = f"tracker models export {tmp_path / name} --output best.onnx" if "best" in name else "the library that wrote"
    assert "may run code when loaded" in said and way in said


def test_a_pickle_named_onnx_is_not_loaded(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x80\x04\x95cos\nsystem\n")
    assert tracker("run", "--source", clip, "--model", tmp_path / "m.onnx", "--no-video") == 2
    assert "is not an ONNX model" in capsys.readouterr().err


NO_NETWORK = """
import sys
def refuse(event, arguments):
    if event in ("socket.getaddrinfo", "socket.connect") and not isinstance(arguments[-1], (str, bytes)):
        with open({log!r}, "a") as file:
            file.write(f"{{event}} {{arguments}}\\n")
        raise RuntimeError("this command reached for the network")
sys.addaudithook(refuse)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "--source", "{clip}", "--duration", "0.2", "--no-video", "--jsonl", "o.jsonl"], 0),
        (["run", "--source", "{clip}", "--model", "yolox-s", "--no-video"], 2),
        (["models", "list"], 0),
        (["models", "info", "yolox-s"], 0),
        (["doctor"], 0),
        (["models", "fetch", "yolox-s"], 1),
    ],
    ids=lambda given: " ".join(given[:2]) if isinstance(given, list) else str(given),
)
def test_only_fetch_reaches_for_the_network(arguments: list[str], code: int, tmp_path: Path, clip: Path) -> None:
    """Watched from within the interpreter, in the processes that it starts as well."""
    log = tmp_path / "reached.txt"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_NETWORK.format(log=str(log)))
    environment = os.environ | {"PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT}"}
    environment = {key: value for key, value in environment.items() if not key.lower().endswith("_proxy")}
    command = [sys.executable, "-m", "tracker", *(part.format(clip=clip) for part in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120)
    assert done.returncode == code, done.stderr
    assert log.exists() == ("fetch" in arguments), log.read_text()


def test_the_cards_input_reaches_the_network(tmp_path: Path) -> None:
    """What the YOLOX cards say is what the head's own rule says, so that nothing of it is guessed."""
    given = zoo()["yolox-tiny"]
    save(tmp_path / "m.onnx", {"output": raw_grid(80)})
    (tmp_path / "m.yaml").write_text("name: m\nfile: m.onnx\nhead: yolox\nclasses: coco\n")
    detector, _ = open_detector(
        DetectSettings(model=str(tmp_path / "m.onnx"), runtime="onnxruntime", workers=1), (96, 64)
    )
    assert detector._card.input.model_copy(update={"size": 416}) == given.input
    assert np.array_equal(detector.class_names, card.COCO_CLASSES)

"""A card with a mistake is told, never passed over; a model's identity covers its weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tracker.detect.card import COCO_CLASSES, Checkpoint, ModelCard, class_names, find_card, sha256_of
from tracker.detect.classes import COCO_91, UNUSED
from tracker.errors import ModelError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"graph")
    return path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: m\nfile: mine.onnx\nclases: [cat]", "unknown key 'clases', did you mean 'classes'?"),
        ("name: m\nfile: mine.onnx\nsha256: 00", "key 'sha256': input should be a valid string, got 0"),
        ("name: m\nfile: mine.onnx\nhead: yolo8", "key 'head': input should be 'auto'"),
        ("name: m\nfile: mine.onnx\ninput: {colour: bgr}", "unknown key 'input.colour', did you mean 'color'?"),
        ("name: m\nfile: mine.onnx\ncheckpoint: {arch: x, ur: y}", "unknown key 'checkpoint.ur', did you mean 'url'?"),
        ("name: m\nfile: mine.onnx\nclasses: coco90", "key 'classes'"),
        ("name: m\nfile: mine.onnx\ninput: {anchor: stretched}", "key 'input.anchor'"),
        ("head: yolov8", "key 'name' is missing"),
        ("name: m\nfile: mine.onnx\nclasses: [cat", "is not YAML"),
        ("name: m\nfile: mine.onnx\nsha256: abcd", "differs from its card's SHA-256"),
    ],
)
def test_a_card_with_a_mistake_is_one_clear_line(model: Path, text: str, reason: str) -> None:
    model.with_suffix(".yaml").write_text(text)
    with pytest.raises(ModelError) as caught:
        find_card(str(model))
    assert reason in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["nc: 80\nbackbone: []\nhead: [[-1, 1, Conv, [64]]]", "- a\n- b", "text", "a: [", "train: images\nnames: [a]"],
)
def test_other_peoples_yaml_is_left_alone(model: Path, text: str) -> None:
    model.with_suffix(".yaml").write_text(text)
    assert find_card(str(model)) == (None, model)


def test_a_right_card_is_read(model: Path) -> None:
    digest = hashlib.sha256(b"graph").hexdigest().upper()
    model.with_suffix(".yaml").write_text(f"name: m\nfile: mine.onnx\nsha256: '{digest}'\nclasses: [cat]")
    card, _ = find_card(str(model))
    assert card is not None and card.classes == ("cat",)


def test_identity_of_an_ir_covers_its_weights(tmp_path: Path) -> None:
    graph, weights = tmp_path / "m.xml", tmp_path / "m.bin"
    graph.write_bytes(b"<net/>")
    alone = sha256_of(graph)
    weights.write_bytes(b"\0")
    first = sha256_of(graph)
    weights.write_bytes(b"\1")
    assert len({alone, first, sha256_of(graph)}) == 3
    assert first == hashlib.sha256(b"<net/>\0").hexdigest()


def test_names_come_from_card_metadata_coco_or_are_made_up() -> None:
    notes = {"names": "{0: 'a: b', 1: 'c'}"}
    assert class_names(("x", "y"), notes, 2) == ("x", "y")
    assert class_names((), notes, 2) == class_names((), notes, 0) == ("a: b", "c")
    assert class_names((), {"names": "['a', 'b']"}, 0) == ("a", "b")
    assert class_names((), {}, 80) == COCO_CLASSES
    assert class_names((), {}, 90) == COCO_91 and COCO_91[16] == "cat"  # TensorFlow's and torchvision's
    assert class_names((), {"names": "nonsense("}, 2) == ("class_0", "class_1")
    assert class_names((), {}, 0) == tuple(f"class_{k}" for k in range(1000))


def test_another_number_of_names_is_refused() -> None:
    with pytest.raises(ModelError, match="3 classes, its card names 2: cat, dog; correct the card"):
        class_names(("cat", "dog"), {}, 3)
    with pytest.raises(ModelError, match="52 classes, its metadata names 1: person"):
        class_names((), {"names": "{0: 'person'}"}, 52)


def test_the_category_ids_of_coco() -> None:
    """Names stand at their category id less one, as torchvision and TensorFlow number them; gaps have no name."""
    card = ModelCard.model_validate({"name": "m", "file": "m.onnx", "classes": "coco91"})
    assert len(card.classes) == 90 and card.classes.count(UNUSED) == 10
    ids = {"person": 1, "stop sign": 13, "backpack": 27, "wine glass": 46, "dining table": 67, "toothbrush": 90}
    assert {name: card.classes.index(name) + 1 for name in ids} == ids
    assert [name for name in card.classes if name != UNUSED] == list(COCO_CLASSES)
    assert card.carried and not ModelCard(name="m", file="m", checkpoint=Checkpoint(arch="a")).carried

"""Validated settings: one model a section, every key with its unit and default. Flags and YAML use the same names."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tracker.errors import ConfigError


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DetectSettings(Section):
    """The detector."""

    model: str = Field("street6", description="name of a card (`tracker models list`) or path of a model file")
    runtime: Literal["auto", "tensorrt", "tensorrt-rtx", "onnxruntime", "openvino", "torch"] = Field(
        "auto", description="inference library"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto: the fastest of the device")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda:\d+)$", description="auto, cpu or cuda:N")
    score: float = Field(0.25, ge=0, le=1, description="least score of a detection")
    iou: float = Field(
        0.5, gt=0, le=1, description="suppression: overlap of two boxes of a class above which the weaker goes"
    )
    classes: tuple[str, ...] = Field((), description="names of the classes to keep; empty: all")
    input_size: int | None = Field(
        None, ge=32, le=8192, multiple_of=32, description="longer side of the network's input, pixels"
    )
    workers: int = Field(
        0, ge=0, le=64, description="inferences side by side; 0: one a core for files, one for live sources"
    )
    max_candidates: int = Field(2000, ge=1, description="boxes that enter the suppression; weaker ones are left out")


class SortSettings(Section):
    """SORT."""

    min_score: float = Field(0.0, ge=0, le=1, description="detections below are not used")
    min_new_score: float = Field(0.4, ge=0, le=1, description="least score of a detection that starts a track")
    min_iou: float = Field(0.2, gt=0, le=1, description="least overlap of a track's prediction and its detection")
    min_hits: int = Field(3, ge=1, description="matched detections until a track is confirmed")
    warm_s: float = Field(0.1, ge=0, description="tracks begun this early are confirmed at once, seconds")
    max_lost_s: float = Field(1.0, ge=0, description="a confirmed track unseen for longer is removed, seconds")
    max_tentative_s: float = Field(0.15, ge=0, description="the same for a tentative one, seconds")


class TrackerSettings(SortSettings):
    """The association."""

    name: Literal["sort"] = Field("sort", description="method")


class WriteSettings(Section):
    """The annotated video."""

    preset: Literal["swift", "ultrafast", "superfast", "veryfast", "faster", "fast", "medium"] = Field(
        "swift", description="x264: slower presets make smaller files; swift is ultrafast with the deblocking filter"
    )
    crf: int = Field(24, ge=0, le=51, description="x264 quality: lower is better and larger")
    labels: bool = Field(True, description="class, id and score beside each box")
    panel: bool = Field(True, description="corner panel with fps, latency and track count")
    trail_s: float = Field(1.0, ge=0, le=60, description="length of the trails, seconds; 0: none")


class Settings(Section):
    """Everything that `tracker run` can be told, apart from source and output names."""

    detect: DetectSettings = DetectSettings()
    tracker: TrackerSettings = TrackerSettings()
    write: WriteSettings = WriteSettings()


def _keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """All dotted keys of a settings model."""
    keys: list[str] = []
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += _keys(kind, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys


def nearest(word: str, known: list[str]) -> str:
    """The end of a message about an unknown word: "did you mean 'x'?", or a list of all that is known."""
    close = difflib.get_close_matches(word, known, 1, 0.5)
    return f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}"


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, Any]:
    """`("tracker.max_lost_s=2",)` -> `{"tracker.max_lost_s": 2}`; values are read as YAML.

    Raises:
        ConfigError: no `=`, or no YAML.
    """
    flat: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set wants KEY=VALUE, got '{text}'; for example --set tracker.max_lost_s=2")
        try:
            flat[key.strip()] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):  # ValueError: a date that is none
            raise ConfigError(f"--set {key}: '{value}' is not a YAML value") from None
    return flat


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file of settings, as nested mappings.

    Raises:
        ConfigError: the file can't be read, is no YAML or no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings file {path} cannot be read: {error}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"settings file {path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content or {}, dict):
        raise ConfigError(f"settings file {path} must hold a mapping such as 'tracker: {{max_lost_s: 2}}'")
    return content or {}


def _flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings -> dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        elif value is not None or prefix:  # a section without keys is no setting
            flat[f"{prefix}{key}"] = value
    return flat


def make_settings(
    file: Path | None, overrides: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> Settings:
    """Settings of a YAML file with dotted overrides on top, and a command's own `defaults` below.

    Raises:
        ConfigError: an unknown key (the nearest is named) or an impossible value (the range is named).
    """
    flat = dict(defaults or {}) | (_flatten(read_yaml(file)) if file else {}) | dict(overrides)
    known = _keys(Settings)
    nested: dict[str, dict[str, Any]] = {}
    for key, value in flat.items():
        if key not in known:
            raise ConfigError(f"unknown setting '{key}', {nearest(key, known)}")
        section, name = key.split(".")
        nested.setdefault(section, {})[name] = value
    try:
        return Settings.model_validate(nested)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"setting '{where}': {first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}"
        ) from None

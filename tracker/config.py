"""Validated settings: one model a section, every key with its unit and default. Flags and YAML use the same names."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tracker.errors import ConfigError


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _switch(value: Any) -> Any:
    """YAML reads on and off as true and false."""
    return ("off", "on")[value] if isinstance(value, bool) else value


class DetectSettings(Section):
    """The detector."""

    model: str = Field("street6", description="name of a card (`tracker models list`) or path of a model file")
    runtime: Literal["auto", "tensorrt", "tensorrt-rtx", "onnxruntime", "openvino", "torch"] = Field(
        "auto", description="inference library"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto: the fastest of the device")
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda:\d+|gpu(:\d+)?)$", description="auto, cpu, cuda:N, or gpu:N for Intel's"
    )
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
    threads: int = Field(0, ge=0, le=256, description="threads of one inference; 0: the cores by workers")
    max_candidates: int = Field(2000, ge=1, description="boxes that enter the suppression; weaker ones are left out")
    fused: Annotated[Literal["auto", "on", "off"], BeforeValidator(_switch)] = Field(
        "auto", description="letterbox, colours and suppression in the graph; auto: on a GPU"
    )
    tiles: Annotated[str, BeforeValidator(_switch)] = Field(
        "off",
        pattern=r"^(off|auto|[2-9]x[1-9]|1x[2-9])$",
        description="columns x rows of overlapping tiles looked at besides the whole picture, 3x2; auto: by its size",
    )
    flip: bool = Field(False, description="look at the mirrored picture too; twice the time")


class SortSettings(Section):
    """SORT."""

    name: Literal["sort"] = Field("sort", description="method")
    min_score: float = Field(0.0, ge=0, le=1, description="detections below are not used")
    min_new_score: float = Field(0.4, ge=0, le=1, description="least score of a detection that starts a track")
    min_iou: float = Field(0.2, gt=0, le=1, description="least overlap of a track's prediction and its detection")
    min_hits: int = Field(3, ge=1, description="matched detections until a track is confirmed")
    warm_s: float = Field(0.1, ge=0, description="tracks begun this early are confirmed at once, seconds")
    max_lost_s: float = Field(1.0, ge=0, description="a confirmed track unseen for longer is removed, seconds")
    max_tentative_s: float = Field(0.15, ge=0, description="the same for a tentative one, seconds")


class ByteTrackSettings(Section):
    """ByteTrack (Zhang et al. 2022) with its paper's defaults; 30 frames at 30 frames a second are 1.0 s."""

    name: Literal["bytetrack"] = Field("bytetrack", description="method")
    high_score: float = Field(0.6, ge=0, le=1, description="detections from here on are matched first")
    low_score: float = Field(0.1, ge=0, le=1, description="weaker ones, down to here, are matched to what is left")
    new_margin: float = Field(0.1, ge=0, le=1, description="a track starts from high_score and this much more")
    min_iou: float = Field(0.1, ge=0, le=1, description="least overlap of the first match")
    min_iou_low: float = Field(0.5, ge=0, le=1, description="least overlap of the second match, with weak detections")
    min_iou_tentative: float = Field(0.3, ge=0, le=1, description="least overlap that confirms a tentative track")
    fuse_score: bool = Field(True, description="overlaps count times the score, except in the second match")
    max_lost_s: float = Field(1.0, ge=0, description="a confirmed track unseen for longer is removed, seconds")


class OcSortSettings(Section):
    """OC-SORT (Cao et al. 2023) with its paper's defaults; 30 frames at 30 frames a second are 1.0 s."""

    name: Literal["ocsort"] = Field("ocsort", description="method")
    high_score: float = Field(0.6, ge=0, le=1, description="detections below are not used, or only by use_byte")
    low_score: float = Field(0.1, ge=0, le=1, description="with use_byte: detections below are not used")
    min_iou: float = Field(0.3, ge=0, le=1, description="least overlap of a track and its detection")
    delta_s: float = Field(0.1, gt=0, description="a direction is taken from observations this far apart, seconds")
    inertia: float = Field(0.2, ge=0, le=1, description="weight of the direction in the match")
    min_hits: int = Field(3, ge=1, description="matched detections until a track is confirmed")
    max_lost_s: float = Field(1.0, ge=0, description="a track unseen for longer is removed, seconds")
    use_byte: bool = Field(False, description="match weak detections to what is left, as ByteTrack does")


class SteadySettings(Section):
    """Our own tracker; scores here are calibrated ones, probabilities in the stream at hand."""

    name: Literal["steady"] = Field("steady", description="method")
    learn_scores: bool = Field(
        True, description="calibrate scores to the detector at work; false: take them as they are"
    )
    high_score: float = Field(0.515, ge=0, le=1, description="detections from here on come first and start tracks")
    low_score: float = Field(0.21, ge=0, le=1, description="weaker ones, down to here, are matched to what is left")
    confirm: float = Field(1.54, ge=0, description="sum of scores from which on a track counts")
    min_similarity: float = Field(0.18, ge=0, le=1, description="least similarity of a track and a sure detection")
    min_similarity_lost: float = Field(0.26, ge=0, le=1, description="the same for a track that the last frame missed")
    min_similarity_low: float = Field(0.48, ge=0, le=1, description="the same for weak detections")
    smoothing: float = Field(0.72, ge=0, le=1, description="place of a box from the detector's (0) to the filter's (1)")
    warm_s: float = Field(0.05, ge=0, description="tracks begun this early count at once, seconds")
    coast_s: float = Field(0.085, ge=0, description="a confirmed track just missed is shown for so long, seconds")
    camera_motion: Annotated[Literal["auto", "off"], BeforeValidator(_switch)] = Field(
        "auto", description="auto: tracks move along with the camera where there are pictures"
    )
    appearance: Annotated[str, BeforeValidator(_switch)] = Field(
        "auto", min_length=1, description="off, colour, the path of a ReID network (.onnx), or auto: colour if offline"
    )
    max_lost_s: float = Field(1.17, ge=0, description="a confirmed track unseen for longer is removed, seconds")
    remember_s: float = Field(
        6.0, ge=0, description="with appearance: such a track may be known again by its looks for so long, seconds"
    )
    max_tentative_s: float = Field(0.035, ge=0, description="the same for a tentative one, seconds")
    offline_confirm: float = Field(1.8, ge=0, description="offline: sum of scores that a track needs to be kept")
    offline_peak: float = Field(0.75, ge=0, le=1, description="offline: best score that a track needs to be kept")
    offline_gap_s: float = Field(0.97, ge=0, description="offline: gaps up to this long are filled, seconds")
    offline_smoothing: float = Field(0.99, ge=0, le=1, description="offline: as smoothing, to the smoothed path")


class SparseSettings(Section):
    """Our tracker for time-lapse, pictures seconds to hours apart; a picture is the unit of what a detector misses."""

    name: Literal["sparse"] = Field("sparse", description="method")
    learn_scores: bool = Field(
        True, description="learn from linked detections what scores are worth; false: take them as they are"
    )
    min_probability: float = Field(0.43, ge=0, le=1, description="least probability of being real of a track shown")
    min_probability_once: float = Field(0.59, ge=0, le=1, description="the same of what was seen only once")
    max_missed: int = Field(3, ge=0, description="a track that more pictures in a row miss is over, unless it stands")
    max_lost_s: float = Field(1.0, ge=0, description="and unless it was unseen for no longer than this, seconds")
    remember: int = Field(30, ge=0, description="what stands is known again in its place after so many pictures")
    camera_motion: Annotated[Literal["auto", "off"], BeforeValidator(_switch)] = Field(
        "auto", description="auto: tracks move along with the camera where there are pictures"
    )
    appearance: Annotated[str, BeforeValidator(_switch)] = Field(
        "auto", min_length=1, description="off, colour, the path of a ReID network (.onnx), or auto: colour"
    )


TrackerSettings: TypeAlias = SortSettings | ByteTrackSettings | OcSortSettings | SteadySettings | SparseSettings
"""The association; `name` tells which."""
TRACKERS: dict[str, type[TrackerSettings]] = {
    "sort": SortSettings,
    "bytetrack": ByteTrackSettings,
    "ocsort": OcSortSettings,
    "steady": SteadySettings,
    "sparse": SparseSettings,
}
DEFAULT_TRACKER = "steady"


def default_tracker() -> TrackerSettings:
    """The default tracker with its defaults."""
    return TRACKERS[DEFAULT_TRACKER]()


class WriteSettings(Section):
    """The annotated video."""

    encoder: Literal["libx264", "h264_nvenc"] = Field(
        "libx264", description="h264_nvenc: an NVIDIA GPU's own, which takes no preset"
    )
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
    tracker: TrackerSettings = Field(default_factory=default_tracker, discriminator="name")
    write: WriteSettings = WriteSettings()


def keys_of(tracker: str) -> list[str]:
    """All dotted keys of the settings with this tracker."""
    sections = Settings(tracker=TRACKERS[tracker]())
    return [f"{section}.{key}" for section, values in sections for key in type(values).model_fields]


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
        ConfigError: an unknown key (the nearest is named), an impossible value (the range is named), or a key of
            another tracker than the chosen one.
    """
    in_file = _flatten(read_yaml(file)) if file else {}
    flat = dict(defaults or {}) | in_file | dict(overrides)
    tracker = _tracker_of(flat)
    if file and in_file.get("tracker.name", tracker) != tracker:
        _refuse_other(file, in_file, tracker)
    nested: dict[str, dict[str, Any]] = {"tracker": {"name": tracker}}
    for key, value in flat.items():
        _check_key(key, tracker)
        section, name = key.split(".")
        nested.setdefault(section, {})[name] = value
    try:
        return Settings.model_validate(nested)
    except ValidationError as error:
        first = error.errors()[0]
        where = [str(part) for part in first["loc"]]
        if where[0] == "tracker":
            del where[1]  # the tracker's name stands between section and key
        raise ConfigError(
            f"setting '{'.'.join(where)}': {first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}"
        ) from None


def _tracker_of(flat: Mapping[str, Any]) -> str:
    """The tracker that the settings choose. Raises ConfigError."""
    name = flat.get("tracker.name", DEFAULT_TRACKER)
    if isinstance(name, str) and name in TRACKERS:
        return name
    raise ConfigError(f"setting 'tracker.name': no tracker {name!r}, {nearest(str(name), list(TRACKERS))}")


def _refuse_other(file: Path, in_file: Mapping[str, Any], tracker: str) -> None:
    """Raise ConfigError where the file tunes another tracker: its numbers mean something else here."""
    tuned = [key for key in in_file if key.startswith("tracker.") and key != "tracker.name"]
    if tuned:
        raise ConfigError(
            f"settings file {file} holds '{tuned[0]}' for the tracker {in_file['tracker.name']}, and {tracker} was "
            "asked for; take the section 'tracker' out of the file, or ask for the file's tracker"
        )


def _check_key(key: str, tracker: str) -> None:
    """Raise ConfigError where the settings of this tracker don't have the key."""
    known = keys_of(tracker)
    if key in known:
        return
    others = [name for name in TRACKERS if key in keys_of(name)]
    if others:
        raise ConfigError(
            f"setting '{key}' belongs to the tracker {' or '.join(others)}, and the tracker is {tracker}; "
            f"{nearest(key, [other for other in known if other.startswith('tracker.')])}"
        )
    raise ConfigError(f"unknown setting '{key}', {nearest(key, known)}")

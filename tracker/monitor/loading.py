"""cameras.yaml -> settings. Whatever is wrong is named with its line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from tracker.capture import mask_credentials
from tracker.config import nearest
from tracker.errors import ConfigError
from tracker.monitor.settings import CameraSettings, MonitorSettings

Place = tuple[str | int, ...]

SECRET = ("password", "token", "url")
"""Words in the names of keys whose values are not quoted."""


def load_settings(path: Path) -> MonitorSettings:
    """Settings of a file; what stands under `defaults` holds for each camera that says nothing else.

    Raises:
        ConfigError: unreadable, not YAML, a key twice, an unknown key (the nearest is named), an impossible value, no
            camera, a credential that is not there.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"settings file {path} cannot be read: {said}") from None
    try:
        tree, content = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"settings file {path} is not YAML: {_said(error)}") from None
    if not isinstance(content, dict) or tree is None:
        raise ConfigError(f"settings file {path} must hold a mapping such as 'cameras: {{gate: {{source: ...}}}}'")
    file = _File(path, tree)
    file.refuse_doubles()
    return file.checked(_with_defaults(content))


class _File:
    """Where in the file what stands."""

    def __init__(self, path: Path, tree: yaml.Node) -> None:
        """`tree`: of the whole file."""
        self._path, self._tree = path, tree

    def error(self, place: Place, message: str) -> ConfigError:
        """The error, with the line of the place or of the nearest thing around it."""
        return ConfigError(f"{self._path}:{self._line(place)}: {message}")

    def refuse_doubles(self) -> None:
        """Raise ConfigError where a mapping has a key twice: YAML would silently take the last."""
        for place, key in _doubles(self._tree, ()):
            line = key.start_mark.line + 1
            where = _shown(place) or "the file"
            raise ConfigError(f"{self._path}:{line}: '{key.value}' stands twice in {where}; rename one")

    def checked(self, content: dict[Any, Any]) -> MonitorSettings:
        """The settings. Raises ConfigError."""
        try:
            settings = MonitorSettings.model_validate(content)
        except ValidationError as error:
            raise self._translated(error) from None
        if not settings.cameras:
            raise self.error(("cameras",), "no camera is named; wanted is 'cameras: {gate: {source: ...}}'")
        for name, camera in settings.cameras.items():
            place: Place = ("cameras", name)
            try:
                settings.tracker_of(camera)
                if camera.enabled:
                    camera.access()
            except ConfigError as error:
                raise self.error(place, f"camera '{name}': {error}") from None
        self._check_outputs(settings)
        return settings

    def _check_outputs(self, settings: MonitorSettings) -> None:
        """Refuse what would be noticed too late: a secret that is not there, a camera to record that is not."""
        try:
            settings.secrets()
        except ConfigError as error:
            raise self.error(tuple(str(error).partition(":")[0].split(".")), str(error)) from None
        for number, name in enumerate(settings.record.cameras):
            if name not in settings.cameras:
                hint = nearest(name, list(settings.cameras))
                raise self.error(
                    ("record", "cameras", number), f"'record.cameras': there is no camera '{name}', {hint}"
                )

    def _translated(self, error: ValidationError) -> ConfigError:
        """The first thing that is wrong, in one line."""
        # A misspelled key is both unknown and missing; the first says more.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        place: Place = tuple(part for part in first["loc"] if part != "[key]")
        where = _shown(place)
        if first["type"] == "extra_forbidden":
            known = list(_model_at(place[:-1]).model_fields) + (["defaults"] if len(place) == 1 else [])
            return self.error(place, f"unknown key '{where}', {nearest(str(place[-1]), known)}")
        if first["type"] == "missing":
            return self.error(place[:-1], f"'{where}' is missing")
        message = first["msg"].removeprefix("Value error, ")
        if "[key]" in first["loc"]:
            message = "a name must be letters, digits, '_', '.', '-' only, 64 at most, and begin with a letter or digit"
        secret = any(word in str(place[-1:]) for word in SECRET) or isinstance(first["input"], dict | list)
        came = "" if secret else f", got {mask_credentials(repr(first['input']))}"
        return self.error(place, f"'{where}': {message[:1].lower()}{message[1:]}{came}")

    def _line(self, place: Place) -> int:
        """Line of a key or item, from 1; of what holds it where it is not in the file (it came from the defaults)."""
        node, line = self._tree, 1
        for part in place:
            mark, found = _step(node, part)
            if found is None or mark is None:
                break
            node, line = found, mark.line + 1
        return line


def _with_defaults(content: dict[Any, Any]) -> dict[Any, Any]:
    """`content` with the section `defaults` written into each camera; names of cameras as text. Raises ConfigError."""
    defaults, cameras = content.get("defaults") or {}, content.get("cameras")
    rest = {str(key): value for key, value in content.items() if key != "defaults"}
    if not isinstance(cameras, dict) or not isinstance(defaults, dict):
        return rest if isinstance(defaults, dict) else content
    for name in cameras:
        if isinstance(name, (bool, float)) or name is None:  # YAML takes `off:` for false
            raise ConfigError(
                f'cameras: names that YAML reads as something else must stand in quotes, such as "off", got {name}'
            )
    filled = {
        str(name): {**defaults, **{str(key): value for key, value in camera.items()}}
        if isinstance(camera, dict)
        else camera
        for name, camera in cameras.items()
    }
    return rest | {"cameras": filled}


def _step(node: yaml.Node, part: str | int) -> tuple[Any, yaml.Node | None]:
    """(mark of the key or item, its value) one level down, or (None, None)."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark, node.value[part]
    return None, None


def _doubles(node: yaml.Node, place: Place) -> Iterator[tuple[Place, yaml.ScalarNode]]:
    """Keys that stand in their mapping already, and where that is."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen and key.value != "<<":
                yield place, key
            seen.add(key.value)
            yield from _doubles(value, (*place, key.value))


def _model_at(place: Sequence[str | int]) -> type[BaseModel]:
    """The model whose fields may stand at a place."""
    model: type[BaseModel] = MonitorSettings
    for part in place:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = next((kind for kind in _models(field.annotation)), model)
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models within a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _shown(place: Place) -> str:
    """Dotted."""
    return ".".join(str(part) for part in place)


def _said(error: Exception) -> str:
    """A message of the YAML reader, one line, without what it quotes of the file."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return f"line {mark.line + 1}: {problem}" if mark else str(problem)


__all__ = ["CameraSettings", "MonitorSettings", "load_settings"]

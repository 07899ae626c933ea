"""Settings of `tracker monitor`: the cameras, what they share, and where their passwords are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from tracker.analyze.settings import LineSettings, ZoneSettings
from tracker.capture import Access, mask_credentials, split_credentials
from tracker.config import DEFAULT_TRACKER, TRACKERS, DetectSettings, Section, TrackerSettings, nearest
from tracker.errors import ConfigError
from tracker.monitor.output_settings import OutputSettings
from tracker.monitor.web.settings import ServeSettings

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""A camera's name: it stands in metrics, addresses and file names."""


class CameraSettings(Section):
    """One camera."""

    source: str = Field(min_length=1, description="rtsp://, http(s)://, webcam number, file or folder of pictures")
    enabled: bool = Field(True, description="false: known, and not opened")
    username: str = Field("", description="user name of the camera")
    username_env: str = Field("", description="environment variable that holds it")
    password: SecretStr = Field(SecretStr(""), description="works, with a warning: better one of the next two")
    password_env: str = Field("", description="environment variable that holds the password")
    credentials_file: str = Field("", description="file whose first line is user:password")
    transport: Literal["tcp", "udp"] = Field("tcp", description="of RTSP; udp loses packets without a word")
    loop: bool = Field(False, description="a file begins again at its end")
    rate: float | None = Field(None, gt=0, le=1000, description="frames a second to process at most; null: all")
    tracker: dict[str, Any] = Field(default_factory=dict, description="what differs from the section 'tracker'")
    zones: dict[Name, ZoneSettings] = Field(default_factory=dict, description="areas that are watched")
    lines: dict[Name, LineSettings] = Field(default_factory=dict, description="lines whose crossings are counted")

    @model_validator(mode="before")
    @classmethod
    def _credentials_apart(cls, values: Any) -> Any:
        """Take user and password out of the address, so that the address can be shown."""
        if not isinstance(values, Mapping) or "source" not in values:
            return values
        values = dict(values) | {"source": str(values["source"])}  # a webcam is a number
        address, username, password = split_credentials(values["source"])
        if not username and not password:
            return values
        if any(values.get(key) for key in ("username", "password", "credentials_file")):
            raise ValueError("user and password are in the address and given apart as well; leave one of the two out")
        login = {"username": username} if username and not values.get("username_env") else {}
        secret = {"password": password} if password and not values.get("password_env") else {}
        return values | {"source": address} | login | secret

    @model_validator(mode="after")
    def _one_way_in(self) -> CameraSettings:
        """Refuse two answers to one question."""
        given = [key for key in ("password", "password_env", "credentials_file") if _text(getattr(self, key))]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; one of them is enough")
        if self.username and self.username_env:
            raise ValueError("username and username_env are given; one of them is enough")
        if self.credentials_file and (self.username or self.username_env):
            raise ValueError("credentials_file holds the user name too; leave the other one out")
        return self

    def access(self) -> Access:
        """Credentials from where they are, read anew each time.

        Raises:
            ConfigError: the variable or the file is not there.
        """
        if self.credentials_file:
            username, password = _from_file(self.credentials_file)
        else:
            username = _from_environment(self.username_env) if self.username_env else self.username
            password = _from_environment(self.password_env) if self.password_env else self.password.get_secret_value()
        return Access(username, password, self.transport)

    def warnings(self) -> list[str]:
        """What is unwise in these settings, one line each."""
        if self.password.get_secret_value():
            return ["the password is written in the settings; better password_env or credentials_file"]
        return []

    def shown(self) -> dict[str, Any]:
        """These settings, JSON-ready, without secrets."""
        values = self.model_dump(mode="json", exclude={"password"})
        return values | {
            "source": mask_credentials(self.source),
            "password": "***" if self.password.get_secret_value() else "",
        }


class BatchSettings(Section):
    """How the cameras share the detector."""

    max: int | None = Field(None, ge=1, le=64, description="pictures in one inference; null: as many as the model has")
    deadline_ms: float = Field(10.0, ge=0, le=1000, description="wait for more pictures at most, ms")


class MonitorSettings(OutputSettings):
    """Everything in cameras.yaml."""

    cameras: dict[Name, CameraSettings] = Field(default_factory=dict, description="the cameras by name")
    detect: DetectSettings = DetectSettings()
    tracker: dict[str, Any] = Field(default_factory=dict, description="the association of all cameras")
    aspect: str = Field(
        "16:9", description="shape of most cameras' pictures: the detector's input is cut to it; 1:1 suits all alike"
    )
    max_latency_ms: float = Field(
        500.0, ge=10, le=60_000, description="frames that would take longer to be published are dropped, ms"
    )
    batch: BatchSettings = BatchSettings()
    serve: ServeSettings = ServeSettings()
    data: str = Field(
        "",
        description="folder of database, recordings, snapshots; a relative one is beside this file; empty: NAME.data",
    )
    status_every_s: float = Field(10.0, gt=0, le=3600, description="a line with the state of all, seconds")

    @field_validator("aspect")
    @classmethod
    def _ratio(cls, text: str) -> str:
        """Two numbers."""
        parts = text.split(":")
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() and 0 < int(part) < 10_000 for part in parts):
            raise ValueError("must be two whole numbers such as 16:9 (in quotes)")
        return text

    @property
    def aspect_wh(self) -> tuple[int, int]:
        """Width and height of `aspect`."""
        width, _, height = self.aspect.partition(":")
        return int(width), int(height)

    def folder(self, path: Path) -> Path:
        """Where everything is kept, with settings that were read from `path`."""
        return path.parent / Path(self.data).expanduser() if self.data else path.with_suffix(".data")

    def tracker_of(self, camera: CameraSettings) -> TrackerSettings:
        """The tracker of a camera: its own keys over the common ones.

        Raises:
            ConfigError: no such tracker, an unknown key (the nearest is named), an impossible value.
        """
        shared = dict(self.tracker)
        name = camera.tracker.get("name", shared.get("name", DEFAULT_TRACKER))
        if name not in TRACKERS:
            raise ConfigError(f"no tracker {name!r}, {nearest(str(name), list(TRACKERS))}")
        if name != shared.get("name", DEFAULT_TRACKER):
            shared = {}  # numbers of another tracker mean something else
        values = shared | dict(camera.tracker) | {"name": name}
        for key in values:
            if key not in TRACKERS[name].model_fields:
                raise ConfigError(
                    f"unknown key '{key}' of tracker {name}, {nearest(key, list(TRACKERS[name].model_fields))}"
                )
        try:
            return TRACKERS[name].model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            message = f"{first['msg'][:1].lower()}{first['msg'][1:]}, got {first['input']!r}"
            raise ConfigError(f"tracker key '{first['loc'][0]}': {message}") from None


def _text(value: str | SecretStr) -> str:
    """The value, if secret."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _from_environment(variable: str) -> str:
    """The variable's value; ConfigError where it is not set."""
    value = os.environ.get(variable, "")
    if not value:
        raise ConfigError(f"the environment variable {variable} is wanted and not set; set it before starting")
    return value


def _from_file(path: str) -> tuple[str, str]:
    """(user, password) of a credentials file.

    Raises:
        ConfigError: it cannot be read, or its first line is no user:password.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"credentials file {path} cannot be read: {said}") from None
    username, colon, password = (lines[0] if lines else "").partition(":")
    if not colon:
        raise ConfigError(f"credentials file {path}: its first line must be user:password")
    return username, password

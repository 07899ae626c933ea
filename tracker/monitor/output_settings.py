"""Settings of what `tracker monitor` keeps and tells: sections of cameras.yaml."""

from __future__ import annotations

import os
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from tracker.config import Section
from tracker.errors import ConfigError


class StoreSettings(Section):
    """The database of events, totals and figures."""

    keep_days: float = Field(90.0, gt=0, description="older events are deleted, days")
    most_events: int = Field(1_000_000, ge=100, description="beyond, the oldest are deleted")
    series_days: float = Field(3.0, gt=0, le=366, description="how far back the plots reach, days")
    save_every_s: float = Field(10.0, ge=0.1, le=600, description="totals are saved so often, seconds")
    queue: int = Field(10_000, ge=1, description="events that may wait in memory for the disk")


class RecordSettings(Section):
    """Video, clips and snapshots."""

    mode: Literal["off", "events", "continuous"] = Field(
        "off", description="events: clips only; continuous: everything, and clips"
    )
    cameras: tuple[str, ...] = Field((), description="names of the cameras to record; empty: all")
    annotate: bool = Field(True, description="draw the tracks; false: the pictures as they are")
    snapshots: bool = Field(True, description="a picture of each event, whatever the mode")
    before_s: float = Field(5.0, ge=0, le=120, description="of a clip, before the event, seconds")
    after_s: float = Field(10.0, ge=0, le=120, description="of a clip, after the event, seconds")
    clip_most_s: float = Field(60.0, ge=1, le=600, description="events in a row share clips up to this long, seconds")
    segment_s: float = Field(30.0, ge=1, le=3600, description="length of one file of a recording, seconds")
    crf: float = Field(26.0, ge=0, le=51, description="quality, 0 the best; 6 more is about half the size")
    jpeg_quality: int = Field(85, ge=1, le=100, description="of snapshots")
    keep_days: float = Field(7.0, gt=0, description="recordings older than this are deleted, days")
    keep_event_days: float = Field(30.0, gt=0, description="the same for clips and snapshots, days")
    max_gb: float = Field(20.0, gt=0, description="of all files together, GB (1e9 bytes); the oldest go first")
    min_free_gb: float = Field(1.0, ge=0, description="of the disk that stay free, GB; else recording pauses")

    @field_validator("mode", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        """YAML reads a bare off as false."""
        return "off" if value is False else value


class SpoolSettings(Section):
    """What outputs share."""

    model_config = ConfigDict(hide_input_in_errors=True)  # it may be a secret

    most_waiting: int = Field(
        100_000, ge=1, description="events kept on disk while it is not reached; beyond, the oldest are given up"
    )


class MqttSettings(SpoolSettings):
    """An MQTT broker, with discovery for Home Assistant."""

    host: str = Field(min_length=1, description="name or address of the broker")
    port: int | None = Field(None, ge=1, le=65535, description="null: 1883, with TLS 8883")
    tls: bool = Field(False, description="encrypted, the broker's certificate is checked")
    ca_file: str = Field("", description="certificates to check it against; empty: the system's")
    username: str = Field("", description="user name at the broker")
    password: SecretStr = Field(SecretStr(""), description="works, with a warning: better password_env")
    password_env: str = Field("", description="environment variable that holds the password")
    client_id: str = Field("", description="empty: made from host name and topic; no two clients may share one")
    topic: str = Field("tracker", pattern=r"^[^+#/\s\x00][^+#\s\x00]*$", description="all topics begin with it")
    discovery: bool = Field(True, description="announce cameras, zones and lines to Home Assistant")
    discovery_prefix: str = Field("homeassistant", pattern=r"^[^+#\s\x00]+$", description="as set in Home Assistant")
    timeout_s: float = Field(10.0, gt=0, le=300, description="wait for the broker's answer at most, seconds")
    keepalive_s: int = Field(15, ge=1, le=3600, description="a silent broker is noticed after 1.5 times this, seconds")

    @model_validator(mode="after")
    def _one_password(self) -> MqttSettings:
        """Refuse two answers to one question."""
        if self.password.get_secret_value() and self.password_env:
            raise ValueError("password and password_env are given; one of them is enough")
        return self

    def secret(self) -> str:
        """The password, "" where there is none. Raises ConfigError where its variable is not set."""
        return _secret("mqtt.password_env", self.password_env) or self.password.get_secret_value()

    def warnings(self) -> list[str]:
        """What is unwise in these settings, one line each."""
        if self.password.get_secret_value():
            return ["mqtt: the password is written in the settings; better password_env"]
        return []


class WebhookSettings(SpoolSettings):
    """An address that gets each event as JSON by POST."""

    url: SecretStr = Field(SecretStr(""), description="http:// or https://; may itself be a secret")
    url_env: str = Field("", description="environment variable that holds the address")
    token: SecretStr = Field(SecretStr(""), description="sent as 'Authorization: Bearer'; works, with a warning")
    token_env: str = Field("", description="environment variable that holds the token")
    timeout_s: float = Field(10.0, gt=0, le=300, description="wait for an answer at most, seconds")

    @model_validator(mode="after")
    def _one_answer(self) -> WebhookSettings:
        """Refuse two answers to one question, or none, and what is no address."""
        if self.url.get_secret_value():
            _check_address(self.url.get_secret_value())
        if bool(self.url.get_secret_value()) == bool(self.url_env):
            raise ValueError("wants one of url and url_env")
        if self.token.get_secret_value() and self.token_env:
            raise ValueError("token and token_env are given; one of them is enough")
        return self

    def address(self) -> str:
        """The address. Raises ConfigError where its variable is not set or holds no address."""
        address = _secret("webhook.url_env", self.url_env) or self.url.get_secret_value()
        try:
            _check_address(address)
        except ValueError as error:
            raise ConfigError(f"webhook.url_env: the address in {self.url_env} {error}") from None
        return address

    def secret(self) -> str:
        """The token, "" where there is none. Raises ConfigError where its variable is not set."""
        return _secret("webhook.token_env", self.token_env) or self.token.get_secret_value()

    def warnings(self) -> list[str]:
        """What is unwise in these settings, one line each."""
        if self.token.get_secret_value():
            return ["webhook: the token is written in the settings; better token_env"]
        return []


class JsonlSettings(SpoolSettings):
    """A file that gets each event as one line of JSON."""

    path: str = Field(min_length=1, description="file; a relative one lies in the folder of the data")
    max_mb: float = Field(100.0, gt=0, description="beyond, a new file is begun, MB")
    files: int = Field(5, ge=1, le=1000, description="old ones kept, as events.1.jsonl (the newest), ...")


class OutputSettings(Section):
    """The sections of this module, under their names in cameras.yaml."""

    store: StoreSettings = StoreSettings()
    record: RecordSettings = RecordSettings()
    mqtt: MqttSettings | None = Field(None, description="null: no MQTT")
    webhook: WebhookSettings | None = Field(None, description="null: no webhook")
    jsonl: JsonlSettings | None = Field(None, description="null: no file of events")

    def secrets(self) -> list[str]:
        """What must never be shown. Raises ConfigError where a variable is not set."""
        mqtt = [self.mqtt.secret()] if self.mqtt is not None else []
        webhook = [self.webhook.secret(), self.webhook.address()] if self.webhook is not None else []
        return [secret for secret in mqtt + webhook if secret]

    def warnings(self) -> list[str]:
        """What is unwise in these settings, one line each."""
        return [line for section in (self.mqtt, self.webhook) if section is not None for line in section.warnings()]


def _check_address(address: str) -> None:
    """Raise ValueError, without the address in it, where it is no http address."""
    try:
        parts = urlsplit(address)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound or not address.isascii() or any(sign.isspace() or not sign.isprintable() for sign in address):
        raise ValueError("must be an address such as https://example.org/hook")


def _secret(key: str, variable: str) -> str:
    """The value of an environment variable, "" where none is named. Raises ConfigError where it is not set."""
    if not variable:
        return ""
    value = os.environ.get(variable, "")
    if not value:
        raise ConfigError(f"{key}: the environment variable {variable} is wanted and not set; set it before starting")
    return value

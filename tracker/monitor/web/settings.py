"""Where the page is served, and to whom."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from tracker.config import Section
from tracker.errors import ConfigError

SHORTEST_TOKEN = 16


class ServeSettings(Section):
    """The section `serve` of cameras.yaml."""

    bind: str = Field("", description="address:port of page, API and metrics, such as 127.0.0.1:8080; empty: none")
    token_env: str = Field("", description="environment variable that holds the token; wanted unless bind is loopback")
    hosts: tuple[str, ...] = Field(
        (), description="names by which browsers reach it, besides localhost, this machine's name and bare addresses"
    )
    live_rate: float = Field(12.0, gt=0, le=60, description="live pictures a second and camera at most")
    jpeg_quality: int = Field(80, ge=1, le=100, description="of live pictures")
    most_viewers: int = Field(16, ge=1, le=1000, description="live streams at a time; a page is one")

    @field_validator("bind")
    @classmethod
    def _address(cls, text: str) -> str:
        """Refuse what is no address."""
        if text:
            try:
                Bind.of(text)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return text

    @field_validator("hosts")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what is no name of a machine."""
        for name in names:
            if not name or not name.isascii() or any(sign in name for sign in "/:@* "):
                raise ValueError(f"must be names such as cams.example.org, without scheme and port, got '{name}'")
        return tuple(name.lower() for name in names)

    def token(self) -> str:
        """The token, "" where none is wanted.

        Raises:
            ConfigError: its variable is not set, or it is short enough to be guessed.
        """
        if not self.token_env:
            return ""
        token = os.environ.get(self.token_env, "")
        if len(token) < SHORTEST_TOKEN:
            found = f"has {len(token)} characters" if token else "is not set"
            raise ConfigError(
                f"serve.token_env: {self.token_env} {found}; set it to {SHORTEST_TOKEN} or more, such as from "
                "'openssl rand -hex 16'"
            )
        return token


@dataclass(frozen=True)
class Bind:
    """An address to listen at.

    Attributes:
        host: name or address, without brackets.
        port: 0 for any free one.
    """

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Bind:
        """Of "127.0.0.1:8080" or "[::1]:8080". Raises ConfigError."""
        try:
            parts = urlsplit(f"//{text}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or port is None or parts.netloc != text or "@" in text:
            raise ConfigError(f"an address to serve at must be like 127.0.0.1:8080 or [::1]:8080, got '{text}'")
        return cls(host, port)

    def __str__(self) -> str:
        """As in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def addresses(self) -> list[tuple[socket.AddressFamily, str]]:
        """(family, address) of the host. Raises ConfigError where there is none."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise ConfigError(f"cannot serve at {self}: {error.strerror or error}") from None
        return [(family, str(address[0])) for family, _, _, _, address in found]

    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach it. Raises ConfigError."""
        return all(ip_address(address.partition("%")[0]).is_loopback for _, address in self.addresses())

    def check(self, token: str) -> None:
        """Refuse to be reached from elsewhere without a token. Raises ConfigError."""
        if not token and not self.is_loopback():
            raise ConfigError(
                f"serving at {self} lets other machines in and wants a token: name an environment variable that holds "
                "one in serve.token_env, or serve at 127.0.0.1"
            )

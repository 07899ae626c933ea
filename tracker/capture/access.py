"""How to get into a network camera: who, with what password, over which transport."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, unquote, urlsplit


@dataclass(frozen=True)
class Access:
    """Credentials apart from the address, so that the address can be shown.

    Attributes:
        username, password: plain, not percent-encoded; "" where none are needed.
        transport: of RTSP. UDP loses packets without a word, and then the picture smears.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    transport: Literal["tcp", "udp"] = "tcp"

    def url(self, address: str) -> str:
        """The address with the credentials in it, as FFmpeg wants them. Never to be shown."""
        if not self.username and not self.password:
            return address
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
        login = quote(self.username, safe="") + (f":{quote(self.password, safe='')}" if self.password else "")
        return parts._replace(netloc=f"{login}@{host}").geturl()


def split_credentials(address: str) -> tuple[str, str, str]:
    """(address without credentials, user name, password) of a URL; those that are not there are ""."""
    try:
        parts = urlsplit(address)
    except ValueError:  # an IPv6 address without its end
        return address, "", ""
    login, at, host = parts.netloc.rpartition("@")
    if not at:
        return address, "", ""
    username, _, password = login.partition(":")
    return parts._replace(netloc=host).geturl(), unquote(username), unquote(password)

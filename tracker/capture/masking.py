"""Passwords out of names, messages and logs."""

from __future__ import annotations

import re

_AUTHORITY = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<rest>[^\s'\"<>]*)")
_SECRET = re.compile(
    r"(?P<key>(?:pass(?:word|wd|phrase)?|loginpas|pwd|token|secret|(?:api|access|private)[_-]?key|key|auth(?:orization)?"
    r"|sig(?:nature)?|credentials?|session(?:_?id)?)=)[^&;#\s'\"]+",
    re.IGNORECASE,
)
_PORT = re.compile(r"\d*$")


def mask_credentials(text: str) -> str:
    """`text` with the password of every URL in it, and secret parameters such as `token=`, as `***`.

    A user name stays. Text without `://` is returned as it is. Where it is not certain what is a password (one that
    holds an unescaped `/` or `@`), more is masked rather than less.
    """
    if "://" not in text:
        return text
    return _AUTHORITY.sub(_mask_url, text)


def _mask_url(match: re.Match[str]) -> str:
    """One URL of a text, masked."""
    rest = match["rest"]
    end = min((rest.find(mark) for mark in "/?#" if mark in rest), default=len(rest))
    at = rest.rfind("@", 0, end)
    colon = rest.find(":", rest.find("]", 0, end) + 1, end)  # not those within an IPv6 address
    if at < 0 <= colon and not _PORT.match(rest[colon + 1 : end]):
        at = rest.rfind("@")  # "user:pa/ss@host": what follows the colon is no port, so the password goes on
    if at >= 0 and 0 <= rest.find(":") < at:
        rest = f"{rest[: rest.find(':')]}:***{rest[at:]}"
    return match["scheme"] + _SECRET.sub(r"\g<key>***", rest)

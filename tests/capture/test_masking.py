"""No password in any text."""

from __future__ import annotations

import pytest

from tracker.capture import mask_credentials


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("rtsp://admin:s3cret@10.0.0.5:554/stream1", "rtsp://admin:***@10.0.0.5:554/stream1"),
        ("rtsp://admin:p@ss:w@10.0.0.5/a", "rtsp://admin:***@10.0.0.5/a"),
        ("rtsp://admin:pa/ss@10.0.0.5/a", "rtsp://admin:***@10.0.0.5/a"),
        ("rtsp://admin:p#a?b@10.0.0.5/a", "rtsp://admin:***@10.0.0.5/a"),
        ("rtsp://:s3cret@host/a", "rtsp://:***@host/a"),
        ("rtsp://admin@host/a", "rtsp://admin@host/a"),
        ("http://host/v?user=me&password=s3cret&x=1", "http://host/v?user=me&password=***&x=1"),
        ("http://host/v?Token=abc", "http://host/v?Token=***"),
        ("http://host/v?api_key=abc#f", "http://host/v?api_key=***#f"),
        ("http://host/v?pwd=a%20b;q=1", "http://host/v?pwd=***;q=1"),
        ("rtsp://host:554/user=admin_password=s3cret_channel=1", "rtsp://host:554/user=admin_password=***"),
        ("http://host:8080/a@2x.mp4", "http://host:8080/a@2x.mp4"),
        ("http://[::1]:8080/a@2x.mp4", "http://[::1]:8080/a@2x.mp4"),
        ("Cannot open 'rtsp://a:b@h/x' and http://c:d@h.", "Cannot open 'rtsp://a:***@h/x' and http://c:***@h."),
        ("clips/token=5.mp4", "clips/token=5.mp4"),
        ("", ""),
    ],
)
def test_masks_what_is_secret_and_nothing_else(text: str, masked: str) -> None:
    assert mask_credentials(text) == masked
    assert mask_credentials(masked) == masked

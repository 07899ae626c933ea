"""What Prometheus gets."""

from __future__ import annotations

from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.monitor.fakes import wait_for
from tests.monitor.web.site import PASSWORD, Site


def scrape(site: Site) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Samples by name and labels."""
    status, headers, content = site.ask("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    found = {}
    for family in parse(content.decode()):
        for sample in family.samples:
            assert sample.name.startswith("tracker_")
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return found


def get(samples: dict[Any, float], name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_frames_are_accounted_for(site: Site) -> None:
    text = site.ask("/metrics")[2].decode()
    assert 'tracker_frames_total{camera="gate",outcome="processed"} ' in text
    site.supervisor.stop(5.0)
    wait_for(lambda: get(scrape(site), "tracker_camera_up", camera="gate") == 0)
    samples = scrape(site)
    for name in ("gate", "yard"):
        dropped = sum(
            value for (metric, labels), value in samples.items()
            if metric == "tracker_frames_total" and {("camera", name), ("outcome", "dropped")} <= labels
        )  # fmt: skip
        captured = get(samples, "tracker_frames_total", camera=name, outcome="captured")
        processed = get(samples, "tracker_frames_total", camera=name, outcome="processed")
        assert captured == processed + dropped + get(samples, "tracker_frames_in_flight", camera=name)
        assert processed == get(samples, "tracker_latency_seconds_count", camera=name)


def test_what_the_contract_names_is_there(site: Site) -> None:
    site.event()
    samples = scrape(site)
    assert get(samples, "tracker_camera_up", camera="gate") == 1
    assert get(samples, "tracker_camera_state", camera="gate", state="up", reason="") == 1
    assert get(samples, "tracker_reconnects_total", camera="gate") == 0
    assert get(samples, "tracker_tracks", camera="yard") == 2
    assert get(samples, "tracker_queue_depth", camera="yard") in (0, 1, 2)
    assert get(samples, "tracker_detector_batch_size") == 1
    assert get(samples, "tracker_events_total") > 0
    assert get(samples, "tracker_viewers") == 0
    buckets = [
        (float(dict(labels)["le"]), value) for (name, labels), value in samples.items()
        if name == "tracker_latency_seconds_bucket" and ("camera", "gate") in labels
    ]  # fmt: skip
    values = [value for _, value in sorted(buckets)]
    assert values == sorted(values)
    info = next(dict(labels) for name, labels in samples if name == "tracker_runtime_info")
    assert set(info) == {"runtime", "precision", "device", "model", "version"}
    entered = [value for (name, labels), value in samples.items() if name == "tracker_zone_entries_total"]
    assert sum(entered) > 0


def test_a_camera_that_goes_takes_its_figures_along(site: Site) -> None:
    site.ask("/api/cameras/yard", "DELETE")
    assert not [labels for _, labels in scrape(site) if ("camera", "yard") in labels]
    assert get(scrape(site), "tracker_camera_up", camera="gate") == 1


def test_openmetrics_is_given_where_it_is_asked_for(site: Site) -> None:
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0"}
    _, headers, content = site.ask("/metrics", headers=wanted)
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert "tracker_frames" in {family.name for family in openmetrics(content.decode())}
    assert PASSWORD.encode() not in content


def test_two_services_do_not_mix() -> None:
    with Site(None, cameras=("a",)) as one, Site(None, cameras=("b",)) as two:
        one.up(), two.up()
        assert 'camera="b"' not in one.ask("/metrics")[2].decode()
        assert 'camera="b"' in two.ask("/metrics")[2].decode()

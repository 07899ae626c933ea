"""The page in a real browser. Wants Chromium with its driver and selenium; skips where they are not there."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.monitor.fakes import wait_for
from tests.monitor.web.site import PASSWORD, TOKEN, Site

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

pytestmark = pytest.mark.slow
Keys = webdriver.Keys
CSS = "css selector"

SUM = """
const canvas = document.querySelector(`[data-camera="${arguments[0]}"] canvas`);
const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
return [canvas.width, bytes.reduce((sum, each, i) => (sum * 31 + each * (i % 251)) % 1000003, 7)];
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    browser, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


@pytest.fixture
def page(chromium: Any, site: Site) -> Iterator[Page]:
    chromium.set_window_size(1440, 900)
    chromium.get_log("browser")
    yield Page(chromium, site)
    chromium.get("about:blank")


class Page:
    """What a person does with it."""

    def __init__(self, chrome: Any, site: Site) -> None:
        self.chrome, self.site = chrome, site
        chrome.get(f"http://127.0.0.1:{site.port}/")

    def wait(self, condition: Callable[[], Any]) -> Any:
        return wait_for(condition, 60.0)  # the machine may be busy

    def find(self, selector: str) -> Any:
        return self.wait(lambda: next(iter(self.chrome.find_elements(CSS, selector)), None))

    def button(self, label: str) -> Any:
        return self.find(f'button[aria-label="{label}"]')

    def state(self, camera: str) -> str:
        return str(self.find(f'[data-camera="{camera}"]').get_attribute("data-state"))

    def picture(self, camera: str) -> tuple[int, int]:
        """(width, checksum) of what is on the canvas."""
        self.find(f'[data-camera="{camera}"] canvas')
        return tuple(self.chrome.execute_script(SUM, camera))

    def moves(self, camera: str) -> None:
        """Wait for three pictures that differ."""
        seen: set[tuple[int, int]] = set()
        self.wait(lambda: seen.add(self.picture(camera)) or len({s for s in seen if s[0] == 160}) >= 3)

    def complaints(self) -> list[str]:
        return [line["message"] for line in self.chrome.get_log("browser") if line["level"] == "SEVERE"]


def test_two_cameras_move_and_one_is_paused_by_click_and_by_keyboard(page: Page) -> None:
    for camera in ("gate", "yard"):
        page.moves(camera)
    assert page.site.server.live.viewers == 1, "one connection for all"
    page.button("Pause gate").click()
    page.wait(lambda: page.state("gate") == "paused")
    assert page.site.supervisor.camera("gate").status()["state"] == "paused"
    assert page.find('[data-camera="gate"] .veil').text == "Paused"
    page.moves("yard")
    resume = page.button("Resume gate")
    assert page.chrome.switch_to.active_element == resume, "the focus stays where it was"
    resume.send_keys(Keys.ENTER)
    page.wait(lambda: page.state("gate") == "up")
    page.moves("gate")
    assert not page.complaints()


def test_figures_events_and_plots_are_shown(page: Page) -> None:
    tile = page.find('[data-camera="gate"]')
    page.wait(lambda: "entered" in tile.text and "lawn" in tile.text and "path" in tile.text)
    assert [cell.text for cell in tile.find_elements(CSS, "dt")] == [
        "Frames/s", "Latency p95", "Tracks", "Dropped"
    ]  # fmt: skip
    page.wait(lambda: "entered lawn" in page.find("#events-list").text)
    loaded = "const i = document.querySelector('#events-list img'); return i && i.complete && i.naturalWidth"
    page.wait(lambda: page.chrome.execute_script(loaded))
    assert len(page.chrome.find_elements(CSS, "#plots svg[aria-label]")) == 4
    page.wait(lambda: "2 of 2 up" in page.find("#summary").text)
    assert PASSWORD not in page.chrome.page_source
    assert not page.complaints()


def test_nothing_is_asked_of_another_host(page: Page) -> None:
    page.moves("gate")
    page.find("#events-list img")
    asked = page.chrome.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)")
    assert {f"http://127.0.0.1:{page.site.port}/{name}" for name in ("app.js", "style.css", "icon.svg")} <= set(asked)
    assert all(address.startswith(f"http://127.0.0.1:{page.site.port}/") for address in asked)


def test_a_camera_that_is_down_shows_its_reason(page: Page) -> None:
    page.moves("gate")
    page.site.refuse.add("gate")
    page.wait(lambda: page.state("gate") == "down")
    veil = page.find('[data-camera="gate"] .veil')
    page.wait(lambda: veil.is_displayed() and "does not answer" in veil.text)
    assert PASSWORD not in page.chrome.page_source
    assert page.find('[data-camera="gate"] canvas').value_of_css_property("visibility") == "hidden"
    page.site.refuse.clear()
    page.wait(lambda: page.state("gate") == "up")
    page.moves("gate")


def test_a_camera_is_added_and_removed(page: Page) -> None:
    page.find("#add").click()
    dialog = page.find("#add-dialog[open]")
    for name, text in (("name", "gate"), ("source", "rtsp://10.0.0.6/dock"), ("password", PASSWORD)):
        dialog.find_element("name", name).send_keys(text)
    dialog.find_element("name", "name").send_keys(Keys.ENTER)
    page.wait(lambda: "choose another name" in page.find("#add-error").text)
    dialog.find_element("name", "name").clear()
    dialog.find_element("name", "name").send_keys("dock", Keys.ENTER)
    page.moves("dock")
    page.button("Remove dock").click()
    page.find('#sure-dialog[open] button[value="yes"]').click()
    page.wait(lambda: not page.chrome.find_elements(CSS, '[data-camera="dock"]'))
    assert page.site.supervisor.names() == ["gate", "yard"]


def test_a_camera_is_enlarged_and_escape_makes_it_small_again(page: Page) -> None:
    page.moves("gate")
    before = page.find('[data-camera="gate"]').size["width"]
    page.button("Enlarge gate").click()
    page.wait(lambda: page.find('[data-camera="gate"]').size["width"] > 1.5 * before)
    page.moves("gate")
    page.find("body").send_keys(Keys.ESCAPE)
    page.wait(lambda: page.find('[data-camera="gate"]').size["width"] == before)


def test_nobody_who_left_is_painted_for(page: Page) -> None:
    page.moves("gate")
    page.chrome.get("about:blank")
    page.wait(lambda: page.site.server.live.viewers == 0)


@pytest.mark.parametrize("width", [390, 800, 1440])
def test_nothing_is_cut_off_and_everything_has_a_name(page: Page, width: int) -> None:
    page.chrome.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    )
    page.moves("gate")
    assert page.chrome.execute_script("return document.documentElement.scrollWidth") <= width
    for control in page.chrome.find_elements(CSS, "button, select, a, input"):
        assert control.accessible_name or not control.is_displayed()
    page.chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_service_that_ends_is_told(chromium: Any, tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        page = Page(chromium, site.up())
        page.moves("gate")
    page.wait(lambda: "has not answered since" in page.find("#lost").text)
    page.wait(lambda: page.state("gate") == "lost")
    assert page.find("#summary").text == "No contact", "nothing that was true before is shown as true now"
    assert "entered" not in page.find('[data-camera="gate"]').text


def test_one_viewer_too_many_is_told_why_there_is_no_picture(chromium: Any) -> None:
    with Site(None, cameras=("gate",), most_viewers=1) as site:
        with socket.create_connection(("127.0.0.1", site.up().port)) as other:
            other.sendall(b"GET /api/cameras/gate/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wait_for(lambda: site.server.live.viewers == 1)
            page = Page(chromium, site)
            page.wait(lambda: "as many live streams" in page.find('[data-camera="gate"] .veil').text)
        page.moves("gate")
        page.wait(lambda: not page.find('[data-camera="gate"] .veil').is_displayed())


def test_logging_in_and_out(chromium: Any, locked: Site) -> None:
    chromium.delete_all_cookies()
    page = Page(chromium, locked)
    page.find("#token").send_keys("wrong", Keys.ENTER)
    page.wait(lambda: page.find("#failed").is_displayed())
    page.find("#token").send_keys(TOKEN, Keys.ENTER)
    page.moves("gate")
    page.find("#leave").click()
    page.find("#token")
    assert chromium.current_url.endswith("/login")

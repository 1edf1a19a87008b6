"""People label in a real browser: by keyboard, two at once, through reloads, undo and a killed server."""

import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from curate.store.inbox import inbox_answers
from curate.store.reader import Reader

EVIL = "<script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">{{ 7 * 7 }}"
SETTINGS = """
[[source]]
name = "texts"
path = "texts.jsonl"
[[source]]
name = "images"
path = "images"
modality = "image"
[[source]]
name = "streams"
path = "streams.jsonl"
modality = "events"
[protocol]
name = "kinds"
[[protocol.attribute]]
name = "kind"
question = "What is <b>this</b>?"
values = ["good & <i>plain</i>", "bad"]
descriptions = { bad = "</dd><script>document.title='hacked'</script>" }
"""
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --window-size=1280,900"
)
CONTRAST = """
const light = (c) => {
  const v = c.map((x) => x / 255).map((x) => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
  return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
const rgb = (s) => (s.match(/[\\d.]+/g) || []).map(Number);
const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
  if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
const texts = [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility()
  && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && !e.disabled);
return texts.map((e) => { const a = light(e instanceof SVGElement ? rgb(getComputedStyle(e).fill) :
  rgb(getComputedStyle(e).color)), b = light(behind(e));
  return [e.tagName + " " + e.textContent.trim().slice(0, 30), (Math.max(a, b) + .05) / (Math.min(a, b) + .05)]; });
"""


@dataclass
class Page:
    """One browser, whose window at each host is another person's."""

    driver: Any

    def text(self, name: str) -> str:
        return str(self.driver.execute_script("return document.getElementById(arguments[0])?.innerText || ''", name))

    def question(self) -> str:
        asked = "return document.getElementById('desk')?.dataset.question || ''"
        return str(self.driver.execute_script(asked))

    def open(self, address: str, person: str = "") -> None:
        self.driver.get(address)
        if person:
            self.driver.switch_to.active_element.send_keys(f"{person}\n")
            self.wait(lambda: self.text("person-name") == person)

    def press(self, key: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver, duration=0).send_keys(key).perform()

    def answer(self, key: str) -> str:
        """Press a key and return the item of the question that it answered, once the next one is there."""
        before = self.question()
        self.press(key)
        self.wait(lambda: self.question() != before)
        return before.split()[0]

    def wait(self, true: Callable[[], bool]) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 20, poll_frequency=0.02).until(lambda driver: true())

    def requested(self) -> set[str]:
        """The hosts that anything was requested from since the last call."""
        entries = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        urls = [e["params"]["request"]["url"] for e in entries if e["method"] == "Network.requestWillBeSent"]
        return {url.split("/")[2] for url in urls if not url.startswith(("data:", "chrome"))}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if None in programs or find_spec("selenium") is None:
        pytest.skip("Chromium, its driver or selenium is missing; on Debian: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(programs[0])
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(programs[1])))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    page = Page(browser)
    yield page
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.get("about:blank")


@pytest.fixture
def serve(command: Callable[..., dict[str, Any]]) -> Iterator[Callable[..., Any]]:
    """Start `curate label` and return the process with its addresses."""
    started: list[subprocess.Popen[str]] = []

    def start(folder: Path, *arguments: object, port: int = 0) -> tuple[subprocess.Popen[str], dict[str, str]]:
        options = command("label", "--json", "--port", port, "--project", folder, *arguments)
        process = subprocess.Popen(**options, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        return process, json.loads(line)

    yield start
    for process in started:
        process.kill()
        process.communicate()


def human_claims(folder: Path) -> list[dict[str, Any]]:
    query = "SELECT item_id, value, annotator FROM annotations WHERE annotator_kind = 'human' ORDER BY item_id"
    with Reader(folder / "curate-store") as reader:
        return list(reader.query(query).to_pylist())


def test_twenty_by_keyboard_reload_undo_and_a_killed_server(
    walked: Path, page: Page, serve: Callable[..., Any], call: Callable[..., Any]
) -> None:
    server, addresses = serve(walked)
    page.open(addresses["page"], "Ada")
    answered = [page.answer("123"[number % 3]) for number in range(20)]
    assert len(set(answered)) == 20
    assert len(inbox_answers(walked / "curate-store")) == 20
    waiting = page.question()
    page.driver.refresh()
    assert page.question() == waiting
    page.answer("u")
    assert page.question().split()[0] == answered[-1]
    assert page.answer("3") == answered[-1]
    assert page.question() == waiting
    server.send_signal(signal.SIGKILL)
    server.wait()
    page.press("1")
    page.wait(lambda: "Not kept" in page.text("trouble"))
    serve(walked, port=int(addresses["page"].split(":")[2].strip("/")))
    assert page.answer("1") == waiting.split()[0]
    assert not page.text("trouble")
    assert call("label", "--take-in", "--json").objects[0]["done"] == 23
    assert call("label", "--take-in", "--json").objects[0]["done"] == 0
    said = {(answer.item_id, answer.turn): answer for answer in inbox_answers(walked / "curate-store")}
    assert (len(said), said[answered[-1], 2].value) == (22, "bicycle")
    assert {claim["item_id"] for claim in human_claims(walked)} == {*answered, waiting.split()[0]}


def test_two_people_at_once_answer_different_items_and_the_owner_sees_both(
    walked: Path, page: Page, serve: Callable[..., Any]
) -> None:
    _, addresses = serve(walked)
    page.open(addresses["page"], "Ada")
    ada = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.open(addresses["page"].replace("127.0.0.1", "localhost"), "Ben")  # cookies of its own
    ben = page.driver.current_window_handle
    items = []
    for window in (ada, ben) * 4:
        page.driver.switch_to.window(window)
        items.append(page.answer("1"))
    assert len(set(items)) == 8
    assert {answer.person for answer in inbox_answers(walked / "curate-store")} == {"Ada", "Ben"}
    page.driver.get(addresses["owner"])
    assert "Ada\t4" in page.driver.find_element("tag name", "main").text.replace(" ", "\t")
    assert "token" not in page.driver.current_url
    page.driver.close()
    page.driver.switch_to.window(ada)


@pytest.fixture
def mixed(tmp_path: Path, call: Callable[..., Any]) -> Path:
    """A store with a hostile text, an image and an event sequence."""
    folder = tmp_path / "mixed"
    (folder / "images").mkdir(parents=True)
    (folder / "curate.toml").write_text(SETTINGS, encoding="utf-8")
    (folder / "texts.jsonl").write_text(json.dumps({"text": EVIL}) + "\n", encoding="utf-8")
    events = [{"time": n / 7, "type": n % 3} for n in range(40)]
    (folder / "streams.jsonl").write_text(json.dumps({"events": events}) + "\n", encoding="utf-8")
    Image.effect_mandelbrot((64, 48), (-2, -1.5, 1, 1.5), 40).save(folder / "images" / "set.png")
    assert call("ingest", "--project", folder).code == 0
    return folder


def test_every_kind_of_item_is_shown_escaped_accessible_and_without_other_hosts(
    mixed: Path, page: Page, serve: Callable[..., Any]
) -> None:
    _, addresses = serve(mixed)
    page.requested()
    page.open(addresses["page"], "Ada <i>")
    size = {"width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    seen = set()
    for _ in range(3):
        kind = page.driver.find_element("id", "item-title").text.split()[0]
        seen.add(kind)
        check_item(page, kind)
        check_accessible(page)
        page.answer("2")
    assert seen == {"Text", "Image", "Events"}
    assert "Nothing is left" in page.text("question")
    check_accessible(page)
    page.driver.get(addresses["owner"])
    check_accessible(page)
    assert page.driver.title == "mixed: agreement"
    assert page.requested() == {addresses["page"].split("/")[2]}
    assert {answer.value for answer in inbox_answers(mixed / "curate-store")} == {"bad"}


def check_item(page: Page, kind: str) -> None:
    page.press("p")
    page.wait(lambda: "No annotator" in page.text("proposal"))
    assert page.driver.title == "mixed: labelling"
    assert page.text("question") == "What is <b>this</b>?"
    if kind == "Text":
        assert page.text("content") == EVIL
    elif kind == "Image":
        size = "const i = document.getElementById('content'); return i.complete && [i.naturalWidth, i.naturalHeight]"
        page.wait(lambda: page.driver.execute_script(size) == [64, 48])
    else:
        assert page.driver.execute_script("return document.querySelectorAll('circle').length") == 40


def check_accessible(page: Page) -> None:
    """No horizontal scrolling, every control has a name, text stands out, and what has the focus shows it."""
    assert page.driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    controls = [node for node in nodes if node.get("role", {}).get("value") in ("button", "link", "textbox", "image")]
    assert [node for node in controls if not node.get("ignored") and not node.get("name", {}).get("value")] == []
    for scheme in ("dark", "light"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        contrast = page.driver.execute_script(CONTRAST)
        assert [text for text in contrast if text[1] < 4.5] == [] != contrast
    focus = "const e = document.activeElement, s = getComputedStyle(e);"
    focus += "return [e.tagName, s.outlineStyle, s.outlineWidth]"
    focused = set()
    for _ in range(6):
        page.press("\ue004")  # the tabulator
        focused.add(tuple(page.driver.execute_script(focus)))
    shown = {entry for entry in focused if entry[0] != "BODY"}  # behind the last control
    assert {entry[1:] for entry in shown} == {("solid", "3px")}, focused


def test_several_values_are_ticked_by_key_and_confirmed_none_of_them_too(
    mixed: Path, page: Page, serve: Callable[..., Any]
) -> None:
    settings = SETTINGS.replace("descriptions =", "multiple = true\ndescriptions =")
    (mixed / "curate.toml").write_text(settings, encoding="utf-8")
    _, addresses = serve(mixed)
    page.open(addresses["page"], "Ada")
    size = {"width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    check_accessible(page)
    page.driver.refresh()
    ticked = "return [...document.querySelectorAll('input[type=checkbox]')].map((box) => box.checked)"
    waiting = page.question()
    for key, state in (("1", [True, False]), ("2", [True, True]), ("1", [False, True]), ("1", [True, True])):
        page.press(key)
        assert (page.driver.execute_script(ticked), page.question()) == (state, waiting)
    page.driver.find_elements("css selector", "input[type=checkbox]")[1].send_keys(" ")
    assert page.driver.execute_script(ticked) == [True, False], "by the space bar as well"
    answered = [page.answer("\ue007")]
    assert "Kept: good & <i>plain</i>." in page.text("status")
    assert page.driver.execute_script(ticked) == [False, False]
    answered.append(page.answer("\ue007"))
    assert "Kept: none of them." in page.text("status")
    page.press("2")
    answered.append(page.answer("c"))
    page.press("u")
    page.wait(lambda: bool(page.question()))
    page.press("2")
    page.press("1")
    assert page.answer("\ue007") == answered[2]
    said = [(answer.item_id, answer.value, answer.reason) for answer in inbox_answers(mixed / "curate-store")]
    one, both = json.dumps(["good & <i>plain</i>"]), json.dumps(["good & <i>plain</i>", "bad"])
    told = [(one, ""), ("[]", ""), ("", "cannot tell"), ("", "undone"), (both, "")]
    assert said == [(item, *rest) for item, rest in zip([*answered, *answered[2:] * 2], told, strict=True)]
    assert len(set(answered)) == 3


def test_a_port_that_is_taken_and_a_protocol_that_asks_nothing_are_told(walked: Path, call: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = call("label", "--port", taken.getsockname()[1])
    assert (result.code, "--port 0" in result.err) == (3, True)
    (walked / "curate.toml").write_text("", encoding="utf-8")
    result = call("label", "--port", 0)
    assert (result.code, "the protocol asks nothing" in result.err) == (3, True)

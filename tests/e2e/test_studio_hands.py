"""The studio under a person's hands: mouse and keys in a real Chromium, tabs, restarts, and what is no step.

Every wait for a text is a check: it raises where the page does not come to say it.
"""

import colorsys
import io
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import expect

from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.label.studio import Studio, app
from pipeline.publish import browse
from tests.conftest import project_to_label
from tests.e2e.test_studio import browser, middle, needs_browser, point, press, ready  # noqa: F401

SAND, WATER = (232, 214, 170), (12, 28, 52)
BY_HAND = "window.setInterval = (work) => { window.look = work; return 0; };"
"""What a page does every few seconds it does when the test says so."""


class Served:
    """A studio that can be started anew at the same port, which makes another token."""

    def __init__(self, project: Path, executor: Executor) -> None:
        benchmark = BenchmarkPaths("tiny", project)
        self.journals = benchmark.annotations / "journal"
        self.desk = Studio(benchmark, recipe.load(benchmark.recipe), [], benchmark.annotations)
        self.desk.builder = executor  # type: ignore[assignment]
        self.sites = list(self.desk.sites)
        self.starts = 0

    def start(self, port: int) -> None:
        self.port = port
        self.starts += 1
        self.app = app(self.desk, f"start{self.starts}")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/start{self.starts}/"

    def at(self, site: str, date: str) -> str:
        return f"{self.address}#site={site}&date={date}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def served(built: Path, executor: Executor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    found = Served(project_to_label(built, tmp_path_factory.mktemp("hands") / "project"), executor)
    with browse.listening(0) as own:
        found.start(own.getsockname()[1])
        server = uvicorn.Server(uvicorn.Config(found, log_config=None, lifespan="off", interface="asgi3"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [own]})
        thread.start()
        yield found
        server.should_exit = True
        thread.join()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:  # noqa: F811
    """A page that must not complain; a small one is painted faster."""
    own = browser.new_page(viewport={"width": 800, "height": 700})
    complaints: list[str] = []
    own.on("pageerror", lambda error: complaints.append(str(error)))
    yield own
    assert complaints == []
    own.close()


def said(page: Any, text: str) -> None:
    expect(page.locator("#said")).to_contain_text(text)


def named(page: Any, text: str) -> None:
    expect(page.locator("#name")).to_contain_text(text)


def opened(page: Any, served: Served, site: int, date: str) -> Any:
    page.goto(served.at(served.sites[site], date))
    ready(page, date)
    expect(page.locator("figure[aria-busy=true]")).to_have_count(0)
    return page


def draw_by_hand(page: Any) -> None:
    x, y = middle(page)
    page.mouse.move(x, y)
    page.mouse.down()
    for dx, dy in ((0, 60), (60, 60), (60, 0)):
        page.mouse.move(x + dx, y + dy, steps=3)
    page.mouse.up()


@needs_browser
def test_keys_work_after_any_pick(served: Served, page: Any) -> None:
    opened(page, served, 0, "2021")
    page.select_option("#site", served.sites[1])
    page.wait_for_url(f"**/#site={served.sites[1]}*")
    ready(page, "2021")
    page.focus("#site")
    press(page, "n")  # no site's name that begins so
    named(page, "2021: no mine")
    press(page, "X")  # Caps Lock, or Shift
    named(page, "2021: cannot be seen")
    for keys, mark in (("Control+z", "no mine"), ("Control+Shift+Z", "cannot be seen")):
        press(page, keys)
        named(page, f"2021: {mark}")
    assert page.eval_on_selector("#site", "list => list.value") == served.sites[1]
    for act in (lambda radio: radio.click(), lambda radio: radio.focus()):
        act(page.locator("[name=tool][value=polygon]"))
        for key, year in (("ArrowRight", "2022"), ("ArrowLeft", "2021")):
            page.keyboard.press(key)
            ready(page, year)
        assert page.locator("[name=tool]:checked").get_attribute("value") == "polygon"
    page.click("#by")
    page.keyboard.type("nxs")
    assert "nxs" in page.input_value("#by")
    named(page, "2021: cannot be seen")
    page.locator("[name=tool][value=click]").check()
    page.click("#by")
    page.mouse.move(*middle(page))
    page.locator("#map").dispatch_event("pointerdown")
    press(page, "n")
    named(page, "2021: no mine")
    for key in ("ArrowRight", "s", "ArrowRight", "s"):  # faster than the studio answers
        page.keyboard.press(key)
    named(page, "2023: no mine")
    assert page.locator("#strip small").all_inner_texts() == ["no mine"] * 3
    cyrillic = {"key": "\u0447", "code": "KeyX", "bubbles": True}
    page.locator("body").dispatch_event("keydown", cyrillic)
    named(page, "2023: cannot be seen")


@needs_browser
def test_the_address_holds_the_place(served: Served, page: Any) -> None:
    page.goto(served.address)
    page.wait_for_selector("body[data-ready]")
    page.select_option("#site", served.sites[2])
    page.wait_for_url(f"**/#site={served.sites[2]}&date=2021")
    ready(page, "2021")
    page.locator("#strip button", has_text="2023").click()
    ready(page, "2023")
    page.reload()
    ready(page, "2023")
    assert page.input_value("#site") == served.sites[2]
    page.go_back()
    ready(page, "2021")
    page.go_back()
    page.wait_for_url(f"**/#site={served.sites[0]}*")
    page.wait_for_selector("body[data-ready]")
    assert page.input_value("#site") == served.sites[0]
    page.go_forward()
    page.wait_for_function("id => document.querySelector('#site').value === id", arg=served.sites[2])
    page.evaluate("location.hash = '#site=nowhere&date=2021'")
    said(page, "There is no site 'nowhere'")


@needs_browser
def test_dragging_moves_the_map_and_a_click_is_a_click(served: Served, page: Any) -> None:
    steps: list[str] = []
    page.on("request", lambda asked: steps.append(asked.url) if asked.url.endswith("/step") else None)
    opened(page, served, 0, "2021")

    def drag(right: float, button: str = "left") -> None:
        x, y = middle(page)
        page.mouse.move(x, y)
        page.mouse.down(button=button)
        page.mouse.move(x + right / 2, y, steps=3)
        page.mouse.move(x + right, y, steps=3)
        page.mouse.up(button=button)

    def column() -> int:
        """What lies in the middle of the map."""
        page.check("[name=tool][value=click]")
        with page.expect_request("**/preview*") as asked:
            point(page)
        return int(asked.value.url.partition("column=")[2].partition("&")[0])

    first = column()
    for tool in ("click", "polygon"):
        page.check(f"[name=tool][value={tool}]")
        drag(40)
        expect(page.locator("#sketch")).to_be_hidden()
        second = column()
        assert second < first - 5
        first = second
    for button in ("middle", "left"):
        page.check("[name=tool][value=freehand]")
        if button == "left":
            page.keyboard.down("Alt")
        drag(20, button)
        page.keyboard.up("Alt")
        expect(page.locator("#sketch")).to_be_hidden()
        second = column()
        assert second < first - 2
        first = second
    page.check("[name=tool][value=freehand]")
    draw_by_hand(page)
    expect(page.locator("#sketch")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#sketch")).to_be_hidden()
    assert abs(column() - first) <= 1
    assert steps == []
    with page.expect_response("**/step"):
        drag(3)  # a hand is never quite still
    named(page, "2021: labelled")


def plain(colour: tuple[int, int, int]) -> bytes:
    into = io.BytesIO()
    Image.new("RGB", (98, 98), colour).save(into, "PNG")
    return into.getvalue()


def pixels(sentence: str) -> int:
    return int("0" + "".join(filter(str.isdigit, sentence)))


def luminance(colours: NDArray[Any]) -> NDArray[Any]:
    """WCAG's relative luminance of colours (..., 3) from 0 to 255."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ [0.2126, 0.7152, 0.0722])


def stands_out(seen: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels whose contrast with the ground, the commonest colour, is at least 3 to 1 (WCAG 1.4.11)."""
    ground = luminance(np.median(seen.reshape(-1, 3), axis=0))
    lights = luminance(seen)
    return np.asarray((np.maximum(lights, ground) + 0.05) / (np.minimum(lights, ground) + 0.05) >= 3)


def around_the_pointer(page: Any) -> NDArray[Any]:
    """What is there once a map has painted what the page has told it."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    x, y = middle(page)
    clip = {"x": x - 60, "y": y - 60, "width": 120, "height": 120}
    content = page.screenshot(clip=clip)
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(float)


def hue(seen: NDArray[Any]) -> float:
    """Of the most colourful pixel, in degrees."""
    strong = seen.reshape(-1, 3)[np.ptp(seen.reshape(-1, 3), axis=1).argmax()]
    return 360 * colorsys.rgb_to_hsv(*strong / 255)[0]


def leaning(marked: NDArray[np.bool_]) -> float:
    """How much more alike a pattern is along / than along \\: 0 for crosses."""
    rising = (marked[4:, :-4] == marked[:-4, 4:]).mean()
    falling = (marked[4:, 4:] == marked[:-4, :-4]).mean()
    return float(rising - falling)


@needs_browser
def test_what_joins_and_what_leaves_look_different(served: Served, page: Any) -> None:
    ground = SAND
    page.route("**/image/*", lambda route: route.fulfill(body=plain(ground), content_type="image/png"))
    opened(page, served, 0, "2022")
    looks_different(page, "2022")
    ground = WATER
    page.keyboard.press("ArrowRight")
    ready(page, "2023")
    looks_different(page, "2023")


def looks_different(page: Any, date: str) -> None:
    would = page.locator("#would")
    point(page)
    expect(would).not_to_have_text("")
    page.keyboard.down("Shift")
    while pixels(would.inner_text()) < 2_000:
        before = would.inner_text()
        page.mouse.wheel(0, -120)
        expect(would).not_to_have_text(before)
    page.keyboard.up("Shift")
    expect(would).to_contain_text("A click takes in")
    joins = around_the_pointer(page)
    with page.expect_response("**/step"):
        page.mouse.click(*middle(page))
    named(page, f"{date}: labelled")
    expect(would).to_have_text("")  # the label is seen until the pointer moves
    point(page)
    expect(would).to_contain_text("A click takes out")
    leaves = around_the_pointer(page)
    for seen in (joins, leaves):
        assert 0.05 < stands_out(seen).mean() < 0.5  # it is seen, and so is the ground
    apart = abs(hue(joins) - hue(leaves))
    assert min(apart, 360 - apart) > 40
    assert leaning(stands_out(joins)) > 0.1 > 0.03 > abs(leaning(stands_out(leaves)))


class Held:
    """Requests that are answered once they are let go."""

    def __init__(self, page: Any, address: str) -> None:
        self.waiting: list[Any] = []
        self.free = False
        page.route(address, self.take)

    def take(self, route: Any) -> None:
        if self.free:
            route.continue_()
        else:
            self.waiting.append(route)

    def let_go(self) -> None:
        self.free = True
        for route in self.waiting:
            route.continue_()


@needs_browser
def test_a_sign_while_images_and_labels_load(served: Served, page: Any) -> None:
    page.add_init_script(BY_HAND)
    page.route("**/image/2022.png*", lambda route: route.abort())
    image, label = Held(page, "**/image/2023.png*"), Held(page, "**/label?subject=2023")
    page.goto(served.at(served.sites[1], "2021"))
    ready(page, "2021")
    sign = page.locator("figure .sign").first
    expect(sign).to_be_hidden()
    page.locator("#strip button", has_text="2023").click()
    expect(page.locator("#name")).to_have_text("2023: loading its label …")
    expect(sign).to_have_text("Loading the image …")
    expect(sign).to_be_visible()
    label.let_go()
    ready(page, "2023")
    named(page, "pixels")
    expect(sign).to_be_visible()
    image.let_go()
    expect(sign).to_be_hidden()
    page.keyboard.press("ArrowLeft")
    expect(sign).to_have_text("The image could not be loaded")
    page.route("**/*", lambda route: route.abort())
    page.keyboard.press("ArrowLeft")
    said(page, "The studio does not answer")
    named(page, "2021: its label could not be loaded")
    page.unroute("**/*")
    page.evaluate("look()")  # it answers again
    expect(page.locator("#said")).to_be_hidden()
    named(page, "pixels")
    expect(sign).to_be_hidden()


@needs_browser
def test_a_tab_of_an_earlier_start_says_so(served: Served, page: Any) -> None:
    page.add_init_script(BY_HAND)
    opened(page, served, 1, "2022")
    sentence = "This page is of an earlier start: open the address that `minebench label` printed."
    journals = {path: path.read_bytes() for path in served.journals.glob("*")}
    served.start(served.port)
    for act in ("n", "l", "Control+z"):
        page.evaluate("document.querySelector('#said').textContent = ''")
        page.keyboard.press(act)
        said(page, sentence)
    page.evaluate("document.querySelector('#said').textContent = ''")
    page.evaluate("look()")
    said(page, sentence)
    assert journals == {path: path.read_bytes() for path in served.journals.glob("*")}
    page.reload()
    assert page.inner_text("body").strip() == sentence
    page.goto(served.address)  # in the same tab, which goes on where it was
    ready(page, "2022")
    assert page.input_value("#site") == served.sites[1]


@needs_browser
def test_a_tab_of_an_earlier_start_goes_on_once_the_later_one_is_open(served: Served, browser: Any) -> None:  # noqa: F811
    context = browser.new_context(viewport={"width": 800, "height": 700})
    earlier = opened(context.new_page(), served, 1, "2022")
    other = opened(context.new_page(), served, 2, "2022")
    served.start(served.port)
    later = context.new_page()
    later.goto(served.address)
    ready(later, "2021")
    for page, site in ((earlier, 1), (other, 2)):
        page.wait_for_url(f"{served.address}#**")
        ready(page, "2022")
        assert page.input_value("#site") == served.sites[site]
    press(earlier, "n")
    named(earlier, "2022: no mine")
    # One that is alive stays where it is.
    again = context.new_page()
    again.goto(served.address)
    ready(again, "2021")
    assert later.input_value("#site") == served.sites[0]
    context.close()


@needs_browser
def test_two_tabs_of_one_annotator_do_not_overwrite_one_another(served: Served, browser: Any) -> None:  # noqa: F811
    context = browser.new_context()
    context.add_init_script(BY_HAND)
    one, two = (opened(context.new_page(), served, 2, "2022") for _ in range(2))
    assert one.input_value("#by") == two.input_value("#by")
    press(two, "n")
    named(two, "2022: no mine")
    press(one, "x")
    said(one, ", in another tab, has changed 2022 meanwhile: look at it, then go on.")
    named(one, "2022: no mine")
    press(one, "x")
    named(one, "2022: cannot be seen")
    two.check("[name=tool][value=freehand]")
    draw_by_hand(two)
    press(two, "Enter")
    said(two, ", in another tab, has changed 2022 meanwhile")
    expect(two.locator("#sketch")).to_be_visible()  # it is not lost
    press(two, "Enter")
    named(two, "2022: labelled")
    expect(two.locator("#sketch")).to_be_hidden()
    press(one, "n")
    said(one, ", in another tab, has changed 2022 meanwhile")
    press(one, "x")
    two.evaluate("look()")
    named(two, "2022: cannot be seen")
    said(two, ", in another tab, has changed 2022: it is shown as it is now.")
    context.close()


def asked(address: str, body: bytes | None = None) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body), timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_what_is_no_step_is_a_sentence_and_changes_nothing(served: Served) -> None:
    site, told = served.sites[2], {"subject": "2023", "seconds": 1, "seen": 0, "by": "a"}
    step = f"{served.address}site/{site}/step"
    click = {**told, "step": "click", "row": 1, "column": 1, "area": 9, "stacked": False, "adds": True}
    draw = {**told, "step": "draw", "adds": True, "rings": [[[1, 1], [5, 5], [5, 1]]]}
    journal = served.journals / f"{site}.jsonl"
    before = journal.read_bytes() if journal.exists() else None
    no_outlines: tuple[Any, ...] = ([], [[]], [[[1, 1]]], [[[1], [2], [3]]], None, [[[0, 0], [9, 9], [0, 0]]])

    def dumped(value: object) -> bytes:
        return json.dumps(value).encode()

    for body in (
        b"", b"[]", b'"a"', b"null", b"1", b"\xff", b"[" * 100_000, b'{"step":' + b"[" * 100_000,
        b'{"step": "mark", "mark": "nothing", "subject": "\\ud800", "seconds": 1, "seen": 0}',
        *(dumped({**click, "row": wrong}) for wrong in (1.5, "1", None, -1, 10**30, 5_000)),
        *(dumped({**click, "area": wrong}) for wrong in (float("nan"), float("inf"), "x")),
        *(dumped({**draw, "rings": [[[wrong, 1], [5, 5], [5, 1]]]}) for wrong in (float("nan"), 1e300, "a")),
        *(dumped({**draw, "rings": wrong}) for wrong in no_outlines),
        dumped({**told, "step": "model", "run": "a" * 5_000, "threshold": 50}),
        dumped({**told, "step": "mark", "mark": ["x"]}),
    ):  # fmt: skip
        status, answer = asked(step, body)
        assert (status, json.loads(answer)["said"][-1]) == (400, "."), (body[:80], answer)
    for words in ("row=1&column=1&area=nan", "row=1.5&column=1&area=9", "row=1", "row=%00&column=1&area=1"):
        status, answer = asked(f"{served.address}site/{site}/preview?subject=2023&{words}")
        assert (status, json.loads(answer)["said"][-1]) == (400, "."), (words, answer)
    assert before == (journal.read_bytes() if journal.exists() else None)
    assert asked(step, dumped({**told, "step": "mark", "mark": "nothing"}))[0] == 200

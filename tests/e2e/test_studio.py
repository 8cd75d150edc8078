"""The studio in a real Chromium, over the real `label`: from the first click to a retrained model."""

import http.client
import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import geopandas as gpd
import numpy as np
import odc.geo.xr  # noqa: F401
import psutil
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from minebench.cube import shards
from pipeline.geo import cog
from pipeline.label.builder import Builder
from tests.conftest import MINEBENCH, PARAMS, project_to_label, run
from tests.e2e.test_viewer import CHROMIUM, FLAGS
from tests.forks import CLI, FORKS

SCREENSHOTS = os.environ.get("SCREENSHOTS")
needs_browser = pytest.mark.skipif(
    not CHROMIUM, reason="there is no Chromium: install it, or name it in CHROMIUM"
)


@contextmanager
def studio(project: Path, *more: str, script: bool = False) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve the studio; by the console script itself where its processes are looked at."""
    command = [str(MINEBENCH)] if script else FORKS.module(CLI)
    words = [*command, "label", "--port", "0", *more]
    with subprocess.Popen(words, cwd=project, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1], process
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that must not complain, with nothing stored by another one."""
    own = browser.new_page(viewport={"width": 1400, "height": 1000})
    said: list[str] = []
    own.on("pageerror", lambda error: said.append(str(error)))
    yield own
    assert said == []
    own.close()


def ready(page: Any, subject: str) -> None:
    page.wait_for_selector(f"body[data-ready='{subject}']", timeout=30_000)


def middle(page: Any) -> tuple[float, float]:
    box = page.locator("#map").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def point(page: Any) -> None:
    """Move to the middle of the image until the page asks for the region there, and wait for the answer: a
    map that is not drawn yet does not see the pointer."""
    x, y = middle(page)
    for attempt in range(300):
        try:
            with page.expect_request(lambda request: "/preview" in request.url, timeout=200) as asked:
                page.mouse.move(x + attempt % 2, y)
        except PlaywrightTimeout:
            continue
        assert asked.value.response().ok
        return
    raise AssertionError("pointing at the map showed nothing")


def click_region(page: Any, coarser: int) -> None:
    """Point at the middle of the image, turn to a coarser region, take it in."""
    point(page)
    page.keyboard.down("Shift")
    for _ in range(coarser):
        with page.expect_response(lambda answer: "/preview" in answer.url):
            page.mouse.wheel(0, -120)
        page.wait_for_timeout(60)
    page.keyboard.up("Shift")
    with page.expect_response(lambda answer: "/step" in answer.url):
        page.mouse.click(*middle(page))


def press(page: Any, key: str) -> None:
    with page.expect_response(lambda answer: "/step" in answer.url):
        page.keyboard.press(key)


@needs_browser
def test_from_the_first_click_to_a_retrained_model(labelled: Path, page: Any) -> None:
    (labelled / "params.yaml").write_text(PARAMS.replace("[cva, fc-siam-diff, unet]", "[unet]"))
    with studio(labelled) as (address, _):
        page.goto(address)
        ready(page, "2021")
        page.fill("#by", "anna")
        page.locator("#by").blur()
        sites = [option.get_attribute("value") for option in page.locator("#site option").all()]
        for site in sites:
            page.select_option("#site", site)
            page.wait_for_function("id => document.querySelector('#site').value === id", arg=site)
            ready(page, "2021")
            click_region(page, 5)
            page.wait_for_selector("#name:has-text('labelled')")
            if SCREENSHOTS:
                page.screenshot(path=f"{SCREENSHOTS}/studio-{site}.png")
            for year, key in (("2022", "c"), ("2023", "s")):
                page.keyboard.press("ArrowRight")
                ready(page, year)
                press(page, key)
                page.wait_for_selector(f"#name:has-text('{year}: labelled')")
    for site in sites:
        table = gpd.read_file(labelled / f"catalogs/tiny/annotations/{site}.gpkg")
        assert sorted(table.year) == [2021, 2022, 2023]
        assert set(table.by) == {"anna"}
        assert (table.seconds > 0).all()
    assert run("annotate", cwd=labelled).returncode == 0
    for site in sites:
        masks = shards.read(labelled / f"data/tiny/cubes/{site}.zarr/mine")
        assert set(np.unique(masks)) <= {0, 1}
        assert (masks[2] == masks[1]).all()
        assert masks[0].any()
    for stage in ("tile", "train", "evaluate"):
        words = [stage, "--model", "unet"] if stage != "tile" else [stage]
        done = run(*words, cwd=labelled)
        assert done.returncode == 0, done.stderr
    scores = json.loads((labelled / "data/tiny/runs/unet/metrics.json").read_text())
    assert sum(scores["pixels"].values()) > 0


@needs_browser
def test_drawing_undoing_and_a_killed_server(labelled: Path, page: Any) -> None:
    """Every wait for a text is a check: it raises where the page does not come to say it."""
    with studio(labelled, script=True) as (address, process):
        page.goto(address)
        ready(page, "2021")
        page.check("[name=tool][value=polygon]")
        x, y = middle(page)
        for dx, dy in ((-90, -80), (80, -80), (70, 90), (-90, -80)):
            page.mouse.click(x + dx, y + dy)
            page.wait_for_timeout(350)  # two clicks at once are a double click
        page.wait_for_selector("#sketch:not([hidden])")
        press(page, "Enter")
        page.wait_for_selector("#name:has-text('labelled')")
        drawn = page.locator("#name").inner_text()
        for keys, said in (("Control+z", "2021: –, 0 pixels"), ("Control+y", drawn)):
            press(page, keys)
            page.wait_for_function("said => document.querySelector('#name').innerText === said", arg=said)
        process.send_signal(signal.SIGKILL)
        process.wait()
        page.keyboard.press("n")
        page.wait_for_selector("#said:has-text('start `minebench label` again')")
    with studio(labelled) as (address, _):
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        page.locator("#strip button", has_text="2021").click()
        ready(page, "2021")
        page.wait_for_function("said => document.querySelector('#name').innerText === said", arg=drawn)


@needs_browser
def test_a_models_outline_is_taken_and_the_most_telling_date_comes_next(labelled: Path, page: Any) -> None:
    done = run("label", "--from", "unet", cwd=labelled)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no trained run 'unet'; runs: none" in done.stderr
    site = next((labelled / "data/tiny/cubes").iterdir()).stem
    for index, run_ in enumerate(("one", "two")):
        for path in (labelled / "data/tiny/cubes").iterdir():
            box = grid_of(path)
            for year in ("2021", "2022", "2023"):
                percent = np.full((1, *box.shape), 10, np.uint8)
                percent[0, 10:30, 12:40] = 80
                percent[0, :3] = 255
                if path.stem == site and year == "2022" and index:
                    percent[0, 40:80] = 90  # the two runs differ most here
                file = labelled / f"data/tiny/predictions/{run_}/{path.stem}/{year}.tif"
                file.parent.mkdir(parents=True, exist_ok=True)
                cog.write(file, percent, box, 255, ("probability",))
    with studio(labelled, "--from", "one", "--from", "two") as (address, _):
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        press_next(page, site, "2022")
        page.locator("#threshold").fill("60")
        page.wait_for_selector("#predicted:has-text('60 %: 560 pixels')")
        press(page, "m")
        page.wait_for_selector("#name:has-text('labelled, 560 pixels')")
        assert json.loads(asked(address, "next")[1])[0]["subject"] != "2022"
        status, said = asked(address, f"site/{site}/predicted?run=three&subject=2022&threshold=50")
        assert (status, b"three says nothing of" in said) == (400, True)
    (row,) = gpd.read_file(labelled / f"catalogs/tiny/annotations/{site}.gpkg").itertuples()
    assert (row.how, row.year) == ("model:one", 2022)


def press_next(page: Any, site: str, subject: str) -> None:
    page.keyboard.press("l")
    page.wait_for_function("id => document.querySelector('#site').value === id", arg=site)
    ready(page, subject)


def grid_of(path: Path) -> GeoBox:
    with xr.open_zarr(path, consolidated=False) as cube:
        return cube.odc.geobox


@pytest.fixture(scope="module")
def served(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A studio's address and its project, for tests that label next to nothing. SIGTERM ends all of it."""
    project = project_to_label(built, tmp_path_factory.mktemp("served") / "project")
    with studio(project, script=True) as (address, process):
        yield address, project
        end_whole(process, address, signal.SIGTERM)


@needs_browser
def test_the_page_can_be_used_by_all(served: tuple[str, Path], page: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page.goto(served[0])
    ready(page, "2021")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def asked(
    address: str, path: str = "", body: dict[str, Any] | None = None, **headers: str
) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_nobody_else_gets_in_and_bad_steps_are_sentences(served: tuple[str, Path]) -> None:
    address, project = served
    annotations = project / "catalogs/tiny/annotations"
    _, listed = asked(address, "sites")
    site = json.loads(listed)[0]["id"]
    step = f"site/{site}/step"
    told = {"step": "mark", "subject": "2021", "mark": "nothing", "by": "a", "seconds": 1, "seen": 0}
    other = address.rstrip("/").rpartition("/")[0]
    assert asked(other + "/wrong/", "sites")[0] == 404
    assert asked(other + "/")[0] == 404
    assert asked(address, "sites", Host="mines.example")[0] == 400
    assert asked(address, step, told, Origin="http://mines.example")[0] == 403
    assert asked(address, "../../../etc/passwd")[0] == 404
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    connection.request("POST", parts.path + step, b"x" * 5_000_000)
    assert connection.getresponse().status == 413
    for body, sentence in (
        ({**told, "step": "sing"}, b"A step is one of click"),
        ({**told, "subject": "1999"}, b"nothing called '1999'"),
        ({"step": "click"}, b"lacks the field"),
        ({**told, "extra": 1}, b"a field that is not known: extra"),
    ):
        status, said = asked(address, step, body)
        assert (status, sentence in said) == (400, True), said
    status, said = asked(address, f"site/{site}/image/2021.png?look=odd")
    assert (status, b"'odd' is no look" in said) == (400, True)
    status, said = asked(address, "site/nowhere/label?subject=2021")
    assert (status, b"no site 'nowhere'" in said) == (400, True)
    assert not list(annotations.glob("*.gpkg"))
    assert asked(address, step, told)[0] == 200
    assert len(gpd.read_file(annotations / f"{site}.gpkg")) == 1
    sites = json.loads(asked(address, "sites")[1])
    assert [one["id"] for one in sites if one["begun"]] == [site]
    other_site = sites[1]["id"]  # which nobody has opened yet
    annotations.joinpath(f"{other_site}.gpkg").write_bytes(b"broken")
    status, said = asked(address, f"site/{other_site}")
    assert (status, b"cannot be read" in said) == (400, True)


def end_whole(process: subprocess.Popen[str], address: str, number: signal.Signals) -> None:
    """End a server by a signal, and see that nothing that it started is left."""
    site = json.loads(asked(address, "sites")[1])[-1]["id"]
    asked(address, f"site/{site}/preview?subject=2021&row=20&column=20&area=200")
    started = psutil.Process(process.pid).children(recursive=True)
    assert started
    process.send_signal(number)
    process.wait(timeout=30)
    gone, alive = psutil.wait_procs(started, timeout=30)
    assert alive == []
    assert len(gone) == len(started)


def test_nothing_outlives_a_killed_server(labelled: Path) -> None:
    with studio(labelled, script=True) as (address, process):
        end_whole(process, address, signal.SIGKILL)


def test_a_killed_builder_is_replaced() -> None:
    builder = Builder()
    with pytest.raises(BrokenExecutor):
        builder.submit(os.abort).result(timeout=60)
    assert builder.submit(abs, -3).result(timeout=60) == 3
    builder.pool.shutdown()


def test_without_cubes_there_is_one_sentence(empty_project: Path) -> None:
    done = run("label", cwd=empty_project)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("run `minebench sites` first.")

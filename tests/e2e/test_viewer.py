"""The viewer in a real Chromium (`CHROMIUM`, else /usr/bin/chromium), over the real `browse`.

Screenshots go to `SCREENSHOTS`, where that names a folder.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import pytest

from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.core.runner import Spread
from pipeline.publish import publish_folder
from pipeline.scenes import attribution
from pipeline.sources.protocol import Upstream
from tests.conftest import run
from tests.forks import CLI, FORKS

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
OVERVIEW = "form.controls"  # the filters above the list of sites
SITE = "div.controls select"  # there once the page of a site is drawn and listens to keys
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
START_PLACES = """import(new URL("timeline.js", document.querySelector("script[type=module]").src)).then(
  ({ startPlace }) => [
    [2019, ["2018-07", "2019-07"]], [2019, ["2018", "2019"]], [2019, ["2020", "2021"]],
    [2019, ["2017", "2018"]], [undefined, ["2018", "2019"]], [2019, ["before", "after"]],
  ].map((given) => startPlace(...given)))"""
pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="there is no Chromium: install it, or name it in CHROMIUM"
)


@pytest.fixture(scope="module")
def address(active: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A benchmark with activity, served by the real command."""
    project = Path(shutil.copytree(active, tmp_path_factory.mktemp("viewer") / "project"))
    words = [*FORKS.module(CLI), "browse", "--port", "0"]
    with subprocess.Popen(words, cwd=project, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
        process.terminate()


@pytest.fixture(scope="module")
def browser():  # type: ignore[no-untyped-def]
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def page(browser):  # type: ignore[no-untyped-def]
    """A page that must not complain."""
    own = browser.new_page(viewport={"width": 1400, "height": 1000})
    said: list[str] = []
    own.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    own.on("pageerror", lambda error: said.append(str(error)))
    own.said = said
    yield own
    own.close()


@pytest.fixture(scope="module")
def published(active: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same without its images, published and moved to a host that knows nothing but files."""
    folder = tmp_path_factory.mktemp("published")
    project = Path(shutil.copytree(active, folder / "project"))
    benchmark = BenchmarkPaths("tiny", project)
    terms = Upstream("Web tiles", "images", "terms of use", "Somebody", may_be_passed_on=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attribution, "used", lambda *_: [terms])
        publish_folder.publish(benchmark, recipe.load(benchmark.recipe), folder / "out", Spread(1, None))
    shutil.rmtree(project)
    with plain_host(folder / "out") as host:
        yield host


@contextmanager
def plain_host(folder: Path) -> Iterator[str]:
    """A web server that knows nothing but files."""
    words = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]
    with subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        port = process.stdout.readline().partition(" port ")[2].split()[0]
        yield f"http://127.0.0.1:{port}/"
        process.terminate()


def site_of(page, address: str) -> str:  # type: ignore[no-untyped-def]
    page.goto(address)
    page.wait_for_selector("tbody tr")
    return str(page.get_attribute("tbody tr a", "href"))


def wait_for_maps(page) -> None:  # type: ignore[no-untyped-def]
    """Until all maps that are shown have a canvas and have drawn what they are to show."""
    page.wait_for_selector(".map:visible canvas")
    page.wait_for_selector(".frame:not([hidden]) .map[aria-busy]", state="detached")


def picture(page) -> bytes:  # type: ignore[no-untyped-def]
    wait_for_maps(page)
    return bytes(page.locator(".frame .map").last.screenshot())


def keep(page, name: str) -> None:  # type: ignore[no-untyped-def]
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_filters_filter_and_columns_sort(page, address: str) -> None:  # type: ignore[no-untyped-def]
    site_of(page, address)
    assert page.locator("tbody tr").count() == 3
    page.get_by_label("Name").fill("beta")
    assert page.locator("tbody tr a").all_text_contents() == ["Beta"]
    page.get_by_label("Name").fill("")
    page.get_by_role("button", name="Site").click()
    assert page.locator("tbody tr a").all_text_contents() == ["Gamma", "Beta", "Alpha"]
    page.get_by_label("Production").select_option("coal")
    assert page.locator("tbody tr a").all_text_contents() == ["Alpha"]
    keep(page, "sites-1400")
    assert not page.said


def test_dates_looks_and_overlays_change_the_picture(page, address: str) -> None:  # type: ignore[no-untyped-def]
    site_of(page, address)
    page.locator("tbody tr a").first.click()
    page.wait_for_selector(SITE)
    page.get_by_label("Layout").select_option("one")
    page.get_by_label("Overlay").select_option("none")
    seen = [picture(page)]
    page.locator(".strip button").first.click()
    seen.append(picture(page))
    for look in ("ndvi", "bsi"):
        if page.locator(f'option[value="{look}"]').count():
            page.get_by_label("Colours").select_option(look)
            seen.append(picture(page))
    page.get_by_label("Colours").select_option("true")
    for overlay in ("footprint", "clear", "when"):
        page.get_by_label("Overlay").select_option(overlay)
        seen.append(picture(page))
    assert len(set(seen)) == len(seen)
    assert page.locator(".timeline rect.changed").count() == 2
    assert page.locator(".timeline line.start").count() == 0
    assert "Start of production\nunknown" in page.locator(".beside dl").inner_text()
    places = page.evaluate(START_PLACES)
    assert places == [pytest.approx(184 / 365), 1, None, None, None, None]
    page.get_by_text("What the image of").click()
    assert page.locator("details tbody tr").count() >= 1
    keep(page, "site-1400")
    assert not page.said


def test_a_deep_link_restores_the_view(page, browser, address: str) -> None:  # type: ignore[no-untyped-def]
    href = site_of(page, address)
    page.goto(f"{address}{href}&before=2022&after=2023&mode=side&look=ndvi&over=footprint")
    page.wait_for_selector(SITE)
    page.locator(".ol-zoom-in").last.click()
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(1600)  # until the map has glided there
    there, asked = page.url, picture(page)
    other = browser.new_page(viewport={"width": 1400, "height": 1000})
    other.goto(there)
    other.wait_for_selector(SITE)
    assert other.get_by_label("Layout").input_value() == "side"
    assert other.get_by_label("Overlay").input_value() == "footprint"
    other.wait_for_timeout(700)
    assert picture(other) == asked
    other.close()


def test_keys_do_what_the_mouse_does(page, address: str) -> None:  # type: ignore[no-untyped-def]
    href = site_of(page, address)
    page.goto(address + href)
    page.wait_for_selector(SITE)
    page.keyboard.press("ArrowLeft")
    assert "after=2022" in page.url
    page.keyboard.press("Shift+ArrowRight")
    assert "before=2022" in page.url
    before = page.url
    page.keyboard.press("o")
    assert page.url != before


def test_what_is_missing_is_said_in_a_sentence(page, address: str) -> None:  # type: ignore[no-untyped-def]
    page.goto(f"{address}#site=nowhere")
    page.wait_for_selector("#said:not([hidden])")
    assert "There is no site nowhere" in page.text_content("#said")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page, address: str, scheme: str) -> None:  # type: ignore[no-untyped-def]
    from axe_playwright_python.sync_playwright import Axe

    page.emulate_media(color_scheme=scheme)
    href = site_of(page, address)
    for where, there in ((address, OVERVIEW), (address + href, SITE)):
        page.goto(where)
        page.wait_for_selector(there)
        wait_for_maps(page)
        found = Axe().run(page).response["violations"]
        serious = [(v["id"], [n["html"][:160] for n in v["nodes"]]) for v in found
                   if v["impact"] in ("serious", "critical")]  # fmt: skip
        assert not serious


def test_it_fits_a_telephone(page, address: str) -> None:  # type: ignore[no-untyped-def]
    page.set_viewport_size({"width": 400, "height": 800})
    href = site_of(page, address)
    for name, where, there in (("sites-400", address, OVERVIEW), ("site-400", address + href, SITE)):
        page.goto(where)
        page.wait_for_selector(there)
        wait_for_maps(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        keep(page, name)
    assert not page.said


def test_without_its_images_and_from_a_plain_host(page, published: str) -> None:  # type: ignore[no-untyped-def]
    site_of(page, published)
    assert "terms of Web tiles do not let them be passed on" in page.text_content("#withheld")
    page.locator("tbody tr a").first.click()
    page.wait_for_selector(SITE)
    page.get_by_label("Overlay").select_option("none")
    nothing = picture(page)
    page.get_by_label("Overlay").select_option("footprint")
    assert picture(page) != nothing
    assert page.locator(".strip img").count() == 0
    for link in page.locator(".downloads a").all():
        assert page.request.get(published + str(link.get_attribute("href"))).ok
    assert not page.said


@pytest.fixture(scope="module")
def drawn(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A benchmark whose labels are change, drawn for one pair of dates, published."""
    folder = tmp_path_factory.mktemp("drawn")
    project = Path(shutil.copytree(built, folder / "project", ignore=shutil.ignore_patterns("archive")))
    benchmark = BenchmarkPaths("tiny", project)
    text = benchmark.recipe.read_text().replace("{source: archive}", "{source: annotations, kind: change}")
    benchmark.recipe.write_text(text)
    sites = gpd.read_parquet(benchmark.table("sites"))
    shapes = [("2021", "2023", geometry.centroid.buffer(0.001)) for geometry in sites.geometry]
    table = gpd.GeoDataFrame(shapes, columns=["t1", "t2", "geometry"], crs=4326)
    table.to_file(benchmark.annotations / "change.gpkg")
    for stage in ("annotate", "tile", "activity", "catalog"):
        done = run(stage, cwd=project)
        assert done.returncode == 0, done.stderr
    publish_folder.publish(benchmark, recipe.load(benchmark.recipe), folder / "out", Spread(1, None))
    with plain_host(folder / "out") as host:
        yield host


def test_drawn_change_is_shown_for_the_dates_it_was_drawn_for(page, drawn: str) -> None:  # type: ignore[no-untyped-def]
    href = site_of(page, drawn)
    page.goto(f"{drawn}{href}&before=2021&after=2023&mode=one&over=change")
    page.wait_for_selector(SITE)
    assert page.locator('option[value="footprint"]').count() == 0
    shown = picture(page)
    page.get_by_label("Overlay").select_option("none")
    assert picture(page) != shown
    assert not page.said
    page.get_by_label("Overlay").select_option("change")
    page.keyboard.press("Escape")
    page.locator(".strip button").nth(1).click()
    page.wait_for_selector("#said:not([hidden])")
    assert "from 2021 to 2022 was not labelled" in page.text_content("#said")


def test_nothing_is_asked_of_other_hosts(page, address: str) -> None:  # type: ignore[no-untyped-def]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    href = site_of(page, address)
    page.goto(address + href)
    picture(page)
    assert asked
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)

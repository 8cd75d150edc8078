"""The real `ee` client over HTTP against a stand-in for the service that serves the synthetic archive."""

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pipeline.geo import grid
from pipeline.synthetic.overpass import TRUTH
from tests.conftest import MINES, RECIPE, Run, contents, make_project, run
from tests.standins import archive
from tests.standins.base import Running, running


@pytest.fixture(scope="module")
def service(built: Path) -> Iterator[Running]:
    with running("earthengine", str(built / "data" / "tiny" / "archive")) as standin:
        yield standin


@cache
def private_key() -> str:
    """One key for all tests: to make one takes longer than many a test."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def key_file(folder: Path, url: str) -> Path:
    """A service account's key whose tokens come from the stand-in."""
    content = {
        "type": "service_account", "project_id": "mines-project", "private_key": private_key(),
        "private_key_id": "1", "client_email": "robot@mines-project.iam.gserviceaccount.com",
        "client_id": "1", "token_uri": f"{url}/token",
    }  # fmt: skip
    path = folder / "key.json"
    path.write_text(json.dumps(content))
    return path


def ee_recipe(url: str, key: Path | str = "key.json", more: str = "") -> str:
    source = f"source: {{name: earthengine, url: '{url}', service_account_key: '{key}'{more}}}"
    recipe = RECIPE.replace("source: {name: synthetic, seed: 3, scenes_per_period: 4}", source)
    return recipe.replace("labels: {source: archive}", "labels: {source: none}")


ONE_MINE = "".join(line for line in MINES.splitlines(keepends=True) if line.startswith(("name", "Beta")))
"""The mine with the fewest scenes."""


def with_sites(project: Path, url: str) -> Path:
    """A project with its key and its sites laid out."""
    key_file(project, url)
    assert run("sites", cwd=project).returncode == 0
    return project


@pytest.fixture(scope="module")
def three_sites(tmp_path_factory: pytest.TempPathFactory, service: Running) -> Path:
    """Three sites, three years, nothing fetched; treat it as read-only."""
    folder = tmp_path_factory.mktemp("three-sites") / "ee"
    return with_sites(make_project(folder, ee_recipe(service.url)), service.url)


@pytest.fixture
def ee_project(three_sites: Path, tmp_path: Path, service: Running) -> Path:
    service.set()
    return Path(shutil.copytree(three_sites, tmp_path / "ee"))


def cubes(project: Path) -> dict[str, xr.Dataset]:
    folder = project / "data" / "tiny" / "cubes"
    return {path.stem: xr.open_zarr(path, mask_and_scale=False).load() for path in sorted(folder.iterdir())}


def assert_same_cubes(project: Path, other: Path, sites: Sequence[str] = ()) -> None:
    """The project has the cubes of the other one, or of these sites of it, to the byte."""
    ours, theirs = cubes(project), cubes(other)
    assert list(ours) == list(sites or theirs)
    assert ours
    for site in ours:
        for name in ("reflectance", "clear", "aoi", "time", "band", "x", "y"):
            assert ours[site][name].values.tobytes() == theirs[site][name].values.tobytes(), (site, name)


def scenes(project: Path) -> pd.DataFrame:
    return pd.read_parquet(project / "data" / "tiny" / "index" / "scenes.parquet")


def test_cube_equals_the_one_through_stac(ee_project: Path, built: Path, service: Running) -> None:
    done = run("fetch", cwd=ee_project)
    assert done.returncode == 0, done.stderr
    assert "requests" in done.stdout
    asked = service.asked()
    pixels = [entry for entry in asked if "getPixels" in entry[1]]
    table = scenes(ee_project)
    # One request for the mask of every candidate, two (10 m, 20 m) for each chosen scene.
    open_ = table[~table.reason.str.contains("cloud cover|no scene", regex=True)]
    assert len(pixels) == len(open_) + 2 * table.selected.sum()
    assert run("compose", cwd=ee_project).returncode == 0
    assert_same_cubes(ee_project, built)
    same = ["period", "scene_id", "selected", "reason", "cloud", "clear", "dx", "dy", "checksum"]
    pd.testing.assert_frame_equal(table[same], scenes(built)[same])
    assert set(table.level) == {"L2A"}
    # Nothing is asked for again.
    service.set()
    again = run("fetch", cwd=ee_project)
    assert "all sites are up to date" in again.stdout
    assert service.asked() == []


def test_earth_engine_fills_what_a_catalog_lacks(tmp_path: Path, built: Path, service: Running) -> None:
    """A catalog without 2022 and with a scene of 2023 whose red band is gone: the cube is that of the whole
    archive, scene by scene from where it is."""
    (beta,) = (built / "data/tiny/archive").glob("beta-*")
    catalog = tmp_path / "archive"
    shutil.copytree(beta, catalog / beta.name)
    shutil.copy(beta.parent / "catalog.json", catalog)
    listed = scenes(built)
    chosen = listed[(listed.site_id == beta.name) & listed.selected].set_index("scene_id")
    gone = chosen.index[chosen.period == "2023"][0]
    for path in (catalog / "catalog.json", catalog / beta.name / "collection.json"):
        content = json.loads(path.read_text())
        absent = {"child": lambda href: beta.name not in href, "item": lambda href: "2022" in href}
        links = [a for a in content["links"] if a["rel"] not in absent or not absent[a["rel"]](a["href"])]
        path.write_text(json.dumps({**content, "links": links}))
    (red,) = (catalog / beta.name).glob(f"*{gone}*/*B04*.tif")
    red.unlink()
    stac = f"{{name: stac, href: '{catalog}/catalog.json'}}"
    engine = f"{{name: earthengine, url: '{service.url}', service_account_key: key.json}}"
    recipe = re.sub("source: .*name: earthengine.*", f"source: [{stac}, {engine}]", ee_recipe(service.url))
    project = with_sites(make_project(tmp_path / "both", recipe, ONE_MINE), service.url)
    for stage in ("fetch", "compose"):
        done = run(stage, cwd=project)
        assert done.returncode == 0, done.stderr
    assert_same_cubes(project, built, [beta.name])
    table = scenes(project)
    sources = table[table.selected].set_index("scene_id").source
    assert (sources[chosen.period == "2022"] == "earthengine").all()
    assert sources[gone] == "earthengine"
    assert set(sources) == {"stac", "earthengine"}
    assert (sources[(chosen.period != "2022") & (chosen.index != gone)] == "stac").all()


@pytest.fixture(scope="module")
def one_site(tmp_path_factory: pytest.TempPathFactory, service: Running) -> Path:
    """One site, one year, nothing fetched; treat it as read-only."""
    recipe = ee_recipe(service.url).replace('start: "2021", end: "2023"', 'start: "2022", end: "2022"')
    folder = tmp_path_factory.mktemp("one-site") / "small"
    return with_sites(make_project(folder, recipe, ONE_MINE), service.url)


@pytest.fixture
def small_project(one_site: Path, tmp_path: Path, service: Running) -> Path:
    service.set()
    return Path(shutil.copytree(one_site, tmp_path / "small"))


def of_small_project(built: Path) -> pd.DataFrame:
    """The scenes of the small project's site and year, from the archive."""
    return scenes(built).query("period == '2022' and site_id.str.startswith('beta')").reset_index(drop=True)


def assert_same_scenes(project: Path, built: Path) -> None:
    """The small project's scenes are as in the archive's project, pixel for pixel."""
    ours, theirs = scenes(project), of_small_project(built)
    same = ["scene_id", "selected", "reason", "clear", "checksum"]
    pd.testing.assert_frame_equal(ours[same], theirs[same])
    assert ours.selected.any()


PIXELS, LISTING = {"match": "getPixels", "times": 999}, {"match": "listAssets", "times": 999}
STORMS = {
    "429": [{"kind": "status", "status": 429, "each": 3}],
    "503, 500 and slow": [
        *({"kind": "status", "status": code, "each": 1} for code in (503, 500)),
        {"kind": "slow", "seconds": 0.1, **PIXELS},
    ],
    "half and short answers": [
        {"kind": "half", **PIXELS, "each": 2},
        {"kind": "half", **LISTING, "each": 1},
        {"kind": "short", **PIXELS, "times": 2},
    ],
    "wrong sizes": [{"kind": kind, **PIXELS, "each": 1} for kind in ("wrong size", "wrong bands")],
    "resets and expired tokens": [
        {"kind": "reset", "match": "v1", "each": 2},
        {"kind": "status", "status": 401, **PIXELS, "each": 1, "times": 3},
    ],
}


@pytest.mark.parametrize("storm", STORMS, ids=list(STORMS))
def test_passing_faults_change_nothing(
    storm: str, small_project: Path, built: Path, service: Running, run_hurried: Run
) -> None:
    service.set(*STORMS[storm])
    done = run_hurried("fetch", cwd=small_project)
    assert done.returncode == 0, done.stderr
    assert_same_scenes(small_project, built)


LASTING = {
    "wrong sizes": ({"kind": "wrong size", **PIXELS}, "where .* asked for"),
    "a page that repeats": ({"kind": "same page", **LISTING}, "same images twice"),
    "forbidden": ({"kind": "status", "status": 403, **PIXELS}, "could not be read"),
    "a login page": ({"kind": "html", **PIXELS}, "no array"),
    "10 GB": ({"kind": "huge", **PIXELS}, "10737418240 bytes"),
    "no end": ({"kind": "endless", **LISTING}, "limit of"),
    "another host": (
        {"kind": "redirect", "to": "http://localhost:1/", **LISTING},
        "redirects to another host",
    ),
    "an XML bomb": ({"kind": "bomb", **LISTING}, "did not answer with JSON"),
}


def test_lasting_faults_fail_loudly_and_the_next_run_mends(
    small_project: Path, built: Path, service: Running
) -> None:
    """One fault after the other on one project: what is fetched in the end is right, whatever they left."""
    for fault, (order, says) in LASTING.items():
        service.set(order)
        failed = run("fetch", cwd=small_project)
        assert failed.returncode == 1, fault
        assert re.search(says, failed.stderr), (fault, failed.stderr)
        assert "Traceback" not in failed.stderr
        assert len(failed.stderr.splitlines()) == 1, (fault, failed.stderr)
    service.set()
    assert run("fetch", cwd=small_project).returncode == 0
    assert_same_scenes(small_project, built)


def test_hollow_pixels_do_not_get_in(small_project: Path, built: Path, service: Running) -> None:
    """A band that comes as zeros where the mask has data."""
    victim = of_small_project(built).query("selected").scene_id.iloc[0]
    # Its first pixels are the mask's: those come whole, and all that follow hollow.
    service.set()
    assert run("fetch", cwd=small_project).returncode == 0
    kept = next((small_project / "data" / "tiny" / "scenes").glob(f"*/{victim}_10m.tif"))
    kept.unlink()
    service.set({"kind": "zeros", **PIXELS})
    failed = run("fetch", cwd=small_project)
    assert failed.returncode == 1
    assert f"{victim} has no pixels where its mask says" in failed.stderr
    service.set()
    assert run("fetch", cwd=small_project).returncode == 0
    assert_same_scenes(small_project, built)


def test_a_scene_that_vanishes_between_list_and_read(
    small_project: Path, built: Path, service: Running
) -> None:
    victim = of_small_project(built).query("selected").scene_id.iloc[0]
    service.set({"kind": "status", "status": 404, "match": f"{victim}:getPixels", "times": 999})
    failed = run("fetch", cwd=small_project)
    assert failed.returncode == 1
    assert f"1 scenes could not be read: {victim}" in failed.stderr
    row = scenes(small_project).set_index("scene_id").loc[victim]
    assert row.reason.startswith("not read: ")
    assert not row.selected
    # Nothing goes on without it: the next stage would take what is there for all there is.
    service.set()
    assert run("fetch", cwd=small_project).returncode == 0
    pixels = [entry[1] for entry in service.asked() if "getPixels" in entry[1]]
    assert pixels
    assert all(victim in path for path in pixels)
    assert_same_scenes(small_project, built)


def test_what_is_missing_to_sign_in(
    small_project: Path, tmp_path: Path, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "EARTHENGINE_PROJECT", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")

    def fails(recipe: str, says: str) -> None:
        """The check, of every case below."""
        (small_project / "catalogs" / "tiny" / "recipe.yaml").write_text(recipe)
        done = run("fetch", cwd=small_project)
        assert done.returncode == 2
        assert says in done.stderr
        assert "Traceback" not in done.stderr

    fails(ee_recipe(service.url, "nowhere.json"), "there is no file nowhere.json")
    fails(ee_recipe(service.url, "params.yaml"), "is not a key of a service account")
    none = ee_recipe(service.url).replace(", service_account_key: 'key.json'", "")
    fails(none, "run `earthengine authenticate`")
    fails(ee_recipe(service.url, more=", project: unregistered-project"), "register it at")
    fails(ee_recipe("http://example.org"), "source.url must begin with https://")


def test_application_default_credentials(
    small_project: Path, service: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = small_project / "catalogs" / "tiny" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace(", service_account_key: 'key.json'", ""))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(small_project / "key.json"))
    done = run("fetch", cwd=small_project)
    assert done.returncode == 0, done.stderr


def test_no_credential_is_written_anywhere(small_project: Path, service: Running) -> None:
    recipe = small_project / "catalogs" / "tiny" / "recipe.yaml"
    # One site is enough in one split, with two years to pair.
    one_split = recipe.read_text().replace(
        "{train: 0.34, val: 0.33, test: 0.33}", "{train: 1, val: 0, test: 0}"
    )
    recipe.write_text(one_split.replace('end: "2022"', 'end: "2023"'))
    service.set({"kind": "status", "status": 403, "match": "getPixels", "times": 2})
    assert run("fetch", cwd=small_project).returncode == 1
    service.set()
    for stage in ("fetch", "compose", "annotate", "tile", "catalog", "report"):
        assert run(stage, cwd=small_project).returncode == 0
    written = {**contents(small_project / "data"), **contents(small_project / "catalogs")}
    assert len(written) > 50
    for path, content in written.items():
        assert b"secret-token" not in content, path
        assert b"PRIVATE KEY" not in content, path


def test_cloud_score_plus_and_level_1c(tmp_path: Path, built: Path) -> None:
    more = ", cloud: cloud_score_plus, level1c: where_no_l2a"
    with running("earthengine", str(built / "data" / "tiny" / "archive"), "noL2A") as standin:
        project = make_project(tmp_path / "ee", ee_recipe(standin.url, more=more))
        key_file(project, standin.url)
        assert run("sites", cwd=project).returncode == 0
        done = run("fetch", cwd=project)
        assert done.returncode == 0, done.stderr
        assert run("compose", cwd=project).returncode == 0
    table = scenes(project)
    # The south's season of 2021 begins in 2020, which has Level-2A: levels never mix in an image.
    levels = table[table.selected].groupby(["site_id", "period"])["level"].unique().map(list)
    assert levels.map(len).eq(1).all()
    assert levels.xs("2021", level="period").tolist().count(["L1C"]) == 2
    assert levels.xs("2022", level="period").tolist() == [["L2A"]] * 3
    # The score comes from the true mask: the cloud that is measured is the true one's share.
    items = {item["id"]: item for item in archive.items(built / "data" / "tiny" / "archive")}
    for site in gpd.read_parquet(project / "data" / "tiny" / "index" / "sites.parquet").itertuples():
        box = grid.of_site(site, 10).zoom_out(2)
        for row in table[(table.site_id == site.site_id) & table.cloud.notna()].itertuples():
            path = items[row.scene_id]["assets"]["true_mask"]["path"]
            truth = archive.window(path, box.transform, *box.shape)
            clouded = ~np.isin(truth, [TRUTH["clear"], TRUTH["nodata"]])
            assert row.cloud == pytest.approx(clouded.mean(), abs=0.01)


def test_a_cloudy_level_2a_image_does_not_keep_level_1c_out(tmp_path: Path, built: Path) -> None:
    more = ", cloud: cloud_score_plus, level1c: where_no_l2a"
    with running("earthengine", str(built / "data" / "tiny" / "archive"), "cloudyL2A") as standin:
        recipe = ee_recipe(standin.url, more=more).replace("min_clear: 0.2", "min_clear: 0.97")
        project = with_sites(make_project(tmp_path / "ee", recipe), standin.url)
        done = run("fetch", cwd=project)
        assert done.returncode == 0, done.stderr
    table = scenes(project)
    assert not table.duplicated(["site_id", "period", "scene_id"]).any()
    mixed = 0
    for _, period in table.groupby(["site_id", "period"]):
        higher, lower = period[period.level == "L2A"], period[period.level == "L1C"]
        mixed += len(higher) > 0 and lower.selected.any()
        # Level-1C is taken where no Level-2A is, and only there.
        assert not (higher.selected.any() and lower.selected.any())
        assert (lower.status == "other_level").any() <= higher.selected.any()
        if not higher.selected.any():
            assert (lower.selected == (lower.day_clear >= 0.97)).all()
    assert mixed


def test_naip_through_a_band_mapping(tmp_path: Path, built: Path, service: Running) -> None:
    service.set()
    source = (f"source: {{name: earthengine, url: '{service.url}', service_account_key: key.json, "
              "collection: USDA/NAIP/DOQQ, cloud: none, bands: {R: R, G: G, B: B}}")  # fmt: skip
    recipe = RECIPE.replace("source: {name: synthetic, seed: 3, scenes_per_period: 4}", source)
    recipe = recipe.replace("bands: [B02, B03, B04, B08, B11]", "bands: [R, G, B]\n  dtype: uint8")
    recipe = recipe.replace("rgb: [B04, B03, B02]", "rgb: [R, G, B]").replace(
        "resolution: 10", "resolution: 8"
    )
    recipe = recipe.replace("snap: 20", "snap: 8").replace(
        "labels: {source: archive}", "labels: {source: none}"
    )
    recipe = recipe.replace("policy: composite", "policy: least_cloudy")
    recipe = recipe.replace('start: "2021", end: "2023"', 'start: "2022", end: "2022"')
    project = make_project(tmp_path / "naip", recipe, ONE_MINE)
    key_file(project, service.url)
    for stage in ("sites", "fetch", "compose"):
        done = run(stage, cwd=project)
        assert done.returncode == 0, done.stderr
    (cube,) = cubes(project).values()
    assert cube.image.dtype == np.uint8
    assert (cube.image.values > 0).mean() > 0.9


def test_composite_on_the_server_is_near_ours(tmp_path: Path, built: Path, service: Running) -> None:
    service.set()
    # The service's medians have no margin around clouds: a recipe that asks for one is refused.
    asks = make_project(tmp_path / "asks", ee_recipe(service.url, more=", composite: server"), ONE_MINE)
    refused = run("sites", cwd=asks)
    assert refused.returncode == 2
    assert "selection.cloud_margin" in refused.stderr
    project = server_medians(tmp_path / "ee", service.url)
    for stage in ("fetch", "compose"):
        done = run(stage, cwd=project)
        assert done.returncode == 0, done.stderr
    ((site, cube),) = cubes(project).items()
    ours = cubes(built)[site].reflectance
    both = (cube.clear.values > 0)[:, None] & (ours.values > 0)
    assert both.any(axis=(1, 2, 3)).tolist() == [True] * 3
    difference = np.abs(cube.reflectance.values.astype(int) - ours.values)
    assert np.median(difference[np.broadcast_to(both, ours.shape)]) < 150


def server_medians(folder: Path, url: str) -> Path:
    """A project of one mine whose medians Earth Engine makes."""
    recipe = ee_recipe(url, more=", composite: server")
    recipe = recipe.replace("min_clear: 0.2", "min_clear: 0.2\n  cloud_margin: 0")
    return with_sites(make_project(folder, recipe, ONE_MINE), url)


def test_a_period_without_images_has_no_composite(tmp_path: Path, built: Path) -> None:
    """Earth Engine refuses to compute the median of nothing."""
    with running(
        "earthengine", str(built / "data" / "tiny" / "archive"), "empty=2022", "page=100"
    ) as standin:
        project = server_medians(tmp_path / "ee", standin.url)
        for stage in ("fetch", "compose"):
            done = run(stage, cwd=project)
            assert done.returncode == 0, done.stderr
        listings = [entry for entry in standin.asked() if "listAssets" in entry[1]]
    status = scenes(project).set_index("period").status
    assert status.to_dict() == {"2021": "chosen", "2022": "none_found", "2023": "chosen"}
    # To know whether there is any, a few images are enough.
    assert len(listings) == 3
    assert all("pageSize=20&" in f"{entry[1]}&" for entry in listings)


def test_other_refusals_are_no_empty_period(tmp_path: Path, service: Running) -> None:
    project = server_medians(tmp_path / "ee", service.url)
    for message in (
        "User memory limit exceeded.",
        "Image.select: Band pattern 'B2' did not match any bands.",
    ):
        service.set({"kind": "refusal", "status": 400, "message": message, "match": "computePixels"})
        failed = run("fetch", cwd=project)
        assert failed.returncode == 1
        assert message.rstrip(".") in failed.stderr
        assert set(scenes(project).status) == {"not_read"}


def test_plan_before_anything_is_fetched(small_project: Path, service: Running) -> None:
    service.set()
    done = run("sites", "--plan", cwd=small_project)
    assert done.returncode == 0, done.stderr
    assert not any("getPixels" in entry[1] for entry in service.asked())
    # What Earth Engine grants a month, and what is assumed to be taken of it.
    said = ("EECU-hours if a request needs 1 EECU-second (assumed", "150 (Community, the default)",
            "1,000 (Contributor)", "100,000 (Partner)", "fewer requests are answered at once")  # fmt: skip
    for words in said:
        assert words in done.stdout
    numbers = [
        int(word.replace(",", ""))
        for word in re.findall(r"[\d,]+(?= (?:scenes|to be|in full|req))", done.stdout)
    ]
    found, masks, chosen, requests = numbers
    service.set()
    assert run("fetch", cwd=small_project).returncode == 0
    table = scenes(small_project)
    pixels = [entry for entry in service.asked() if "getPixels" in entry[1]]
    assert found == len(table)
    assert masks == table.clear.notna().sum()
    assert chosen >= table.selected.sum()
    assert requests >= len(pixels)

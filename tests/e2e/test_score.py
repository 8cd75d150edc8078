"""Predictions of another framework are scored like our own, and what cannot be scored is named."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
import zarr
from affine import Affine
from numpy.typing import NDArray
from PIL import Image

from minebench.data import datasets
from minebench.errors import InputError
from minebench.index import tiles_of
from minebench.layout import BenchmarkPaths
from models.evaluation.inference import mask_logits, pair_logits
from models.evaluation.stacks import Stacks, pairs_of_tiles, places_of
from models.training.checkpoint import load_run
from pipeline import recipe as recipes
from pipeline.scoring import expected, maps, score, template
from pipeline.scoring.expected import Expected
from tests.conftest import run

MODELS = {"change": "fc-siam-diff", "segmentation": "unet"}
OURS = (
    "precision",
    "recall",
    "f1",
    "iou",
    "oa",
    "kappa",
    "of1",
    "aoi",
    "pixels",
    "f1_interval",
    "boundary_f1",
)


NOT_JUDGED = shutil.ignore_patterns("archive", "scenes", "predictions", "explanations")


@pytest.fixture(scope="module")
def judged(compared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with trained models that these tests share: each scores under a name of its own, and nothing
    else is made in it."""
    folder = tmp_path_factory.mktemp("judged") / "project"
    return Path(shutil.copytree(compared, folder, ignore=NOT_JUDGED))


@pytest.fixture
def own(compared: Path, tmp_path: Path) -> Path:
    """A project with trained models for a test that compares, publishes or harms."""
    return Path(shutil.copytree(compared, tmp_path / "project", ignore=NOT_JUDGED))


def tiny(project: Path, task: str) -> tuple[BenchmarkPaths, Expected]:
    benchmark = BenchmarkPaths("tiny", project)
    return benchmark, expected.of(benchmark, recipes.load(benchmark.recipe), "test", task)


def scored(project: Path, folder: Path, name: str, is_partial: bool = False) -> dict[str, Any]:
    """The metrics of a folder of predictions, scored in this process."""
    benchmark = BenchmarkPaths("tiny", project)
    loaded = recipes.load(benchmark.recipe)
    return score.build(benchmark, loaded, folder, name, "test", None, 0.5, is_partial)


def row_of(project: Path, name: str) -> dict[str, Any]:
    return dict(json.loads((project / f"data/tiny/runs/{name}/metrics.json").read_text()))


@cache
def own_predictions(project: Path, task: str) -> dict[str, NDArray[np.float32]]:
    """What our trained model says of each tile, by the name that a submission would use."""
    benchmark, _ = tiny(project, task)
    network, scale, _ = load_run(benchmark.data, MODELS[task])
    stacks = Stacks(benchmark.data, "test", scale, torch.device("cpu"))
    _, rows = pairs_of_tiles(benchmark.data, stacks)
    found = {}
    for stack in stacks:
        if task == "segmentation":
            logits, dates = mask_logits(network, stack.images), [(period,) for period in stack.periods]
        else:
            own = rows[stack.tile.tile_id]
            logits = pair_logits(network, stack.images, places_of(stack, own))
            dates = [(row.t1, row.t2) for row in own.itertuples()]
        for date, probability in zip(dates, torch.sigmoid(logits).numpy(), strict=True):
            found[expected.name(stack.tile.tile_id, date)] = probability
    return found


def over_sites(
    project: Path, task: str, tiles: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """The tiles put together."""
    _, wanted = tiny(project, task)
    found: dict[str, NDArray[np.float32]] = {}
    for tile, dates in wanted.maps:
        whole = found.setdefault(
            expected.name(tile.site_id, dates), np.zeros(wanted.sites[tile.site_id].shape, np.float32)
        )
        whole[tile.window] = tiles[expected.name(tile.tile_id, dates)][: tile.height, : tile.width]
    return found


def as_npy(folder: Path, found: dict[str, NDArray[np.float32]], project: Path, task: str) -> None:
    for name, values in found.items():
        np.save(folder / f"{name}.npy", values)


def as_tif(folder: Path, found: dict[str, NDArray[np.float32]], project: Path, task: str) -> None:
    grids = dict(_grids(tiny(project, task)[1]))
    for name, values in found.items():
        where = folder / "deep" / f"{name}.tif"
        where.parent.mkdir(exist_ok=True)
        write(where, values, grids[name].transform, str(grids[name].crs))


def as_site_zarr(folder: Path, found: dict[str, NDArray[np.float32]], project: Path, task: str) -> None:
    _, wanted = tiny(project, task)
    sites = over_sites(project, task, found)
    for site_id, listed in wanted.of_sites.items():
        group = zarr.create_group(folder / f"{site_id}.zarr")
        values = np.stack([sites[expected.name(site_id, dates)] for dates in listed])
        array = group.create_array("change" if task == "change" else "mine", data=values[::-1])
        if task == "change":
            array.attrs["pairs"] = [list(dates) for dates in listed[::-1]]
        else:
            group.attrs["periods"] = [dates[0] for dates in listed[::-1]]


def as_site_tif(folder: Path, found: dict[str, NDArray[np.float32]], project: Path, task: str) -> None:
    as_tif(folder, over_sites(project, task, found), project, task)


def _grids(wanted: Expected):  # type: ignore[no-untyped-def]
    from pipeline.scoring.submission import _names

    return _names(wanted)


def write(path: Path, values: NDArray[np.float32], transform: Affine, crs: str) -> None:
    height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", dtype=values.dtype, count=1, height=height, width=width, crs=crs,
        transform=transform,
    ) as file:  # fmt: skip
        file.write(values[None])


@pytest.mark.parametrize("task", MODELS)
@pytest.mark.parametrize("form", [as_npy, as_tif, as_site_tif, as_site_zarr])
def test_our_own_predictions_get_our_own_scores(
    judged: Path, tmp_path: Path, task: str, form: Callable[..., None]
) -> None:
    """To the digit by tiles. Those overlap at a site's edge, where a map of the whole site says one thing."""
    folder = tmp_path / "given"
    folder.mkdir()
    form(folder, own_predictions(judged, task), judged, task)
    name = f"{form.__name__}-{task}"
    scored(judged, folder, name)
    theirs = row_of(judged, name)
    ours = json.loads((judged / f"data/tiny/runs/{MODELS[task]}/metrics.json").read_text())
    assert theirs["task"] == task
    if form in (as_npy, as_tif):
        assert {name: theirs[name] for name in OURS} == {name: ours[name] for name in OURS}
        assert theirs["ap"] == pytest.approx(ours["ap"], rel=1e-3) or ours["ap"] is None
    else:
        assert sum(theirs["pixels"].values()) == sum(ours["pixels"].values())
    assert theirs["external"]["predicted"] == theirs["external"]["asked"]


@pytest.mark.parametrize("task", MODELS)
def test_the_template_is_a_submission(judged: Path, tmp_path: Path, task: str) -> None:
    out = tmp_path / "empty"
    done = run("score", "--template", str(out), "--task", task, cwd=judged)
    assert done.returncode == 0, done.stderr
    listed = pd.read_csv(out / "expected.csv", dtype={"t1": str, "t2": str})
    assert set(listed.of) == {"tile", "site"}
    assert {path.stem for path in out.glob("*.tif")} == set(listed.name[listed.of == "site"])
    done = run("score", str(out), "--name", f"nothing-{task}", "--json", cwd=judged)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recall"] in (0, None)
    again = run("score", "--template", str(out), cwd=judged)
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_truth_scores_one_and_stands_everywhere(own: Path, tmp_path: Path) -> None:
    """As 0/255 PNG, of tiles; in leaderboard, report, viewer, catalog and card as external."""
    benchmark, wanted = tiny(own, "change")
    cubes = datasets.Cubes(benchmark.data)
    folder = tmp_path / "truth"
    folder.mkdir()
    for tile, (t1, t2) in wanted.maps:
        label = cubes.label(tile, t1, t2) == 1
        Image.fromarray(label.astype(np.uint8) * 255).save(folder / f"{tile.tile_id}_{t1}_{t2}.png")
    (folder / "submission.yaml").write_text("who: Ann\nwhat: an oracle\nlicence: CC0-1.0\n")
    done = run("score", str(folder), "--name", "oracle", cwd=own)
    assert done.returncode == 0, done.stderr
    assert "F1 1.000" in done.stdout
    for stage in ("compare", "catalog", "report", "check"):
        assert (done := run(stage, cwd=own)).returncode == 0, (stage, done.stderr)
    row = pd.read_parquet(benchmark.leaderboard / "models.parquet").set_index("run").loc["oracle"]
    assert row.external
    assert row.f1 == 1
    assert pd.isna(row.parameters)
    assert "Ann" in (benchmark.leaderboard / "cards/oracle.md").read_text()
    assert "oracle (external)" in benchmark.report.read_text()
    item = json.loads((benchmark.stac / "models/oracle/oracle.json").read_text())
    assert item["properties"]["minebench:external"]["licence"] == "CC0-1.0"
    assert "weights" not in item["assets"]
    out = tmp_path / "release"
    assert (done := run("publish", str(out), "--version", "1.0", cwd=own)).returncode == 0, done.stderr
    listed = json.loads(run("compare", "--json", cwd=own).stdout)["runs"]
    assert {row["run"]: row["parameters"] for row in listed}["oracle"] is None
    columns = json.loads((out / "data/tiny/viewer/sites.json").read_text())["columns"]
    assert "F1 oracle (external)" in columns
    again = json.loads(run("score", str(folder), "--name", "oracle", "--json", cwd=own).stdout)
    assert again["external"]["checksum"] == row_of(own, "oracle")["external"]["checksum"]


def test_a_part_is_scored_as_a_part(own: Path, tmp_path: Path) -> None:
    found = own_predictions(own, "segmentation")
    kept = dict(list(found.items())[::2])
    folder = tmp_path / "half"
    folder.mkdir()
    as_npy(folder, kept, own, "segmentation")
    refused = run("score", str(folder), "--name", "half", cwd=own)
    assert refused.returncode == 2
    assert "is missing" in refused.stderr
    assert "--partial" in refused.stderr
    assert not (own / "data/tiny/runs/half").exists()
    missing = pd.read_csv(own / "data/tiny/logs/score-half.csv")
    assert set(missing.name) == set(found) - set(kept)
    done = run("score", str(folder), "--name", "half", "--partial", cwd=own)
    assert done.returncode == 0, done.stderr
    assert f"partial: {len(kept)} of {len(found)}" in done.stdout
    assert (done := run("compare", cwd=own)).returncode == 0, done.stderr
    assert (done := run("report", cwd=own)).returncode == 0, done.stderr
    assert f"partial: {len(kept)} of {len(found)} maps" in (own / "data/tiny/report/index.html").read_text()
    assert "**Partial:**" in (own / "data/tiny/leaderboard/cards/half.md").read_text()


def spoilt(values: NDArray[np.float32], how: str) -> NDArray[np.generic]:
    if how == "NaN":
        values = values.copy()
        values[0, 0] = np.nan
    return {
        "NaN": values,
        "not 64 x 64": values[:-1],
        "no probabilities": values * 100,
        "whole numbers from 0 to 7": np.arange(values.size).reshape(values.shape) % 8,
        "of type": values.astype(np.complex64),
    }[how]


@pytest.mark.parametrize(
    "how", ["NaN", "not 64 x 64", "no probabilities", "whole numbers from 0 to 7", "of type"]
)
def test_what_cannot_be_scored_is_named(judged: Path, tmp_path: Path, how: str) -> None:
    found = own_predictions(judged, "change")
    name = next(iter(found))
    folder = tmp_path / "given"
    folder.mkdir()
    as_npy(folder, found, judged, "change")
    np.save(folder / f"{name}.npy", spoilt(found[name], how))
    np.save(folder / "somewhere-else_2019_2020.npy", found[name])
    with pytest.raises(InputError) as refused:
        scored(judged, folder, "theirs", is_partial=True)
    for words in (how, name, "somewhere-else_2019_2020.npy is not expected"):
        assert words in str(refused.value)
    assert not (judged / "data/tiny/runs/theirs").exists()


def test_a_map_on_another_grid_is_named(judged: Path, tmp_path: Path) -> None:
    _, wanted = tiny(judged, "change")
    name, grid = next(iter(_grids(wanted)))
    values = np.zeros(grid.shape, np.float32)
    path = tmp_path / f"{name}.tif"
    write(path, values, grid.transform * Affine.translation(0.5, 0), str(grid.crs))
    with pytest.raises(InputError, match=r"0\.50 pixels off"):
        maps.checked(maps.Map(path), grid)
    write(path, values, grid.transform, "EPSG:4326")
    with pytest.raises(InputError, match="is in EPSG:4326"):
        maps.checked(maps.Map(path), grid)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="cannot be read"):
        maps.checked(maps.Map(path), grid)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "--name", "a"], "There is no folder nowhere"),
        (["catalogs", "--name", "a"], "no prediction of a known name"),
        (["catalogs", "--name", "unet"], "is a model of minebench"),
        (["catalogs", "--name", "unet-hmm"], "is a model of minebench"),
        (["catalogs", "--name", "../a"], "use letters"),
        (["catalogs"], "Name a folder"),
        (["--template", "out", "--task", "both"], "it is change or segmentation"),
        (["--template", "out", "--split", "tset"], "no tiles in split"),
    ],
)
def test_wrong_words_are_one_sentence(judged: Path, words: list[str], said: str) -> None:
    done = run("score", *words, cwd=judged)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_scores_of_other_labels_stand_apart(own: Path, tmp_path: Path) -> None:
    benchmark, wanted = tiny(own, "segmentation")
    template.write(wanted, tmp_path / "empty")
    scored(own, tmp_path / "empty", "old")
    path = benchmark.run("old") / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data_key": "another"}))
    done = run("compare", cwd=own)
    assert done.returncode == 0, done.stderr
    assert "old: scored on other tiles or labels than there are now, it stands apart" in done.stdout
    assert "old" not in set(pd.read_parquet(own / "data/tiny/leaderboard/models.parquet").run)
    for stage in ("catalog", "report"):
        assert run(stage, cwd=own).returncode == 0
    assert "Scored on earlier tiles or labels" in benchmark.report.read_text()


def test_tiles_have_a_grid_of_their_own(judged: Path) -> None:
    benchmark, wanted = tiny(judged, "change")
    tiles = datasets.read_table(benchmark.data, "tiles").query("split == 'test'")
    assert {(tile.x0 > 0, tile.y0 > 0) for tile in tiles_of(tiles)} >= {(False, False), (True, True)}
    for tile in tiles_of(tiles):
        grid = wanted.grid_of(tile)
        site = wanted.sites[tile.site_id].grid
        assert grid.shape == tile.shape
        assert (~site.transform * grid.transform) * (0, 0) == pytest.approx((tile.x0, tile.y0))


def test_a_zarr_of_another_form_and_capital_suffixes(judged: Path, tmp_path: Path) -> None:
    found = own_predictions(judged, "change")
    folder = tmp_path / "given"
    folder.mkdir()
    as_npy(folder, found, judged, "change")
    for path in folder.glob("*.npy"):
        path.rename(path.with_suffix(".NPY"))
    assert scored(judged, folder, "loud")["task"] == "change"
    site = next(iter(tiny(judged, "change")[1].sites))
    group = zarr.create_group(folder / f"{site}.zarr")
    group.create_array("change", data=np.zeros((2, 8, 8), np.uint8)).attrs["pairs"] = 7
    with pytest.raises(InputError, match="cannot be read as a Zarr in the cube's form"):
        scored(judged, folder, "strange")


def test_a_zarr_with_a_group_where_the_array_belongs(judged: Path, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    site = next(iter(tiny(judged, "change")[1].sites))
    zarr.create_group(folder / f"{site}.zarr").create_group("change").attrs["pairs"] = []
    with pytest.raises(InputError, match="change is a group and no array"):
        scored(judged, folder, "grouped")

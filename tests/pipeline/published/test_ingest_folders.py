"""Pairs of pictures in folders, by any of the names that published sets use."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import zarr
from PIL import Image

import models
from minebench import data, layout
from minebench.cube.windows import Cubes
from minebench.errors import InputError
from minebench.index import tiles_of
from models.evaluation import adopt, sitewide
from models.evaluation.inference import Network
from models.evaluation.stacks import Stacks
from models.training.checkpoint import load_run
from models.training.objective import Standardise
from pipeline import recipe
from pipeline.published import ingest
from pipeline.published.formats.folders import Folders, spans_of
from pipeline.published.formats.known_sets import SETS
from pipeline.published.formats.pair_files import NAMES, found
from tests.pipeline.export.exporting import exported, truth

SIDE = 16


def pixels(seed: int) -> np.ndarray:
    """A picture (y, x, 3) with black pixels."""
    picture = np.random.default_rng(seed).integers(1, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    picture[:4, :4] = 0
    return picture


def mask(seed: int, changed: int = 255) -> np.ndarray:
    return (np.random.default_rng(seed).random((SIDE, SIDE)) < 0.3).astype(np.uint8) * np.uint8(changed)


def save(path: Path, array: np.ndarray, **more: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **more)


def flat(folder: Path, names: tuple[str, str, str] = ("A", "B", "label"), count: int = 6) -> Path:
    """A/ B/ label/ with list/train.txt, val.txt and test.txt, two tiles each."""
    for number in range(count):
        for part, array in zip(names, (pixels(number), pixels(100 + number), mask(number)), strict=True):
            save(folder / part / f"t_{number}.png", array)
    (folder / "list").mkdir()
    for place, split in enumerate(("train", "val", "test")):
        own = [f"t_{number}.png" for number in range(2 * place, 2 * place + 2)]
        (folder / "list" / f"{split}.txt").write_text("\n".join(own) + "\n")
    return folder


def made(root: Path, path: Path, name: str = "ours", kind: str = "folders", **given: str):
    benchmark, loaded = ingest.prepare(name, kind, path, root, given=ingest.Given(**given))
    return benchmark, loaded, ingest.run(benchmark, loaded, 1)


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory):
    """Of folders of which nothing is said."""
    root = tmp_path_factory.mktemp("folders")
    return made(root, flat(root / "files"))


def tiles_by_split(benchmark: layout.BenchmarkPaths) -> dict[str, list[str]]:
    named = pd.read_parquet(benchmark.table("imported"))
    return named.assign(split=named.site_id.str.split("-").str[0]).groupby("split").file.agg(list).to_dict()


def test_pixels_labels_and_splits_are_the_files(unknown) -> None:
    benchmark, _, done = unknown
    assert done.tiles == 6
    assert tiles_by_split(benchmark)["val"] == ["A/t_2.png", "A/t_3.png"]
    cube = zarr.open_group(benchmark.cube("test-0000"), mode="r")
    for date, first in ((0, 4), (1, 104)):
        stack = np.concatenate([pixels(first), pixels(first + 1)])
        assert np.array_equal(np.moveaxis(cube["image"][date], 0, -1), stack)
    assert np.array_equal(cube["change"][0] * 255, np.concatenate([mask(4), mask(5)]))
    assert cube["clear"][:].all()


def test_what_nobody_says_is_unknown_and_nothing_is_minenetcds(unknown) -> None:
    benchmark, _, done = unknown
    assert done.notes == (
        "unknown, for want of --resolution, --licence, --citation, --dates; the card says so",
    )
    card = (benchmark.stac / "README.md").read_text()
    for sentence in ("The size of a pixel is unknown", "When images of before, after were taken is unknown."):
        assert sentence in card
    assert "license: other" in card
    assert "mining" not in card
    licences = (benchmark.stac / "LICENCES.md").read_text()
    assert "| ours | images, labels and splits | unknown | unknown |" in licences
    items = [json.loads(path.read_text()) for path in benchmark.stac.rglob("*_before.json")]
    assert len(items) == 3
    for item in items:
        assert not {"eo:cloud_cover", "gsd"} & set(item["properties"])
        assert item["properties"]["minebench:dated_by"] == ["unknown"]
    every = [path for path in benchmark.stac.rglob("*") if path.suffix in {".md", ".json"}]
    said = "".join(path.read_text() for path in [*every, benchmark.recipe])
    assert not re.search(r"MineNetCD|\bYu\b|\b(2009|2018|2023)\b", said)


def test_a_published_checkpoint_sees_black_as_its_authors_code_does(unknown, tmp_path: Path) -> None:
    """Every decision is that of the plain network on the same normalised pictures."""
    benchmark = unknown[0]
    torch.manual_seed(0)
    plain = models.create("fc-siam-diff", in_channels=3).eval()
    torch.save(plain.state_dict(), tmp_path / "x.pth")
    adopt.adopt(benchmark.data, "fc-siam-diff@x", str(tmp_path / "x.pth"), "imagenet")
    network, scale, _ = load_run(benchmark.data, "fc-siam-diff@x")
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in adopt.IMAGENET)
    seen = 0
    for split, first in (("train", 0), ("val", 2), ("test", 4)):
        for place, stack in enumerate(Stacks(benchmark.data, split, scale, torch.device("cpu"))):
            own = [pixels(seed + first + place) for seed in (0, 100)]
            a, b = ((torch.from_numpy(x).permute(2, 0, 1)[None] / 255 - mean) / std for x in own)
            with torch.no_grad():
                expected = plain(a, b)[0, 0]
            logits = Network(network).pairs(stack, [(0, 1)])[0]
            assert torch.allclose(logits, expected, atol=1e-5)
            assert torch.equal(logits > 0, expected > 0)
            seen += 1
    assert seen == 6
    item = data.open(benchmark.data, split="test", scale=scale)[0]
    assert torch.allclose(item["a"][:, 0, 0], (-mean / std).flatten())
    site = benchmark.data, "test-0000"
    drawn = sitewide.probability(
        network, Cubes(site[0]), site[1], SIDE, Standardise(scale), torch.device("cpu"), [(0, 1)]
    )
    assert np.isfinite(drawn).all()


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("label", ["label", "OUT", "gt", "Mask", "labels", "cm"])
def test_folders_go_by_the_names_that_sets_use(tmp_path: Path, names: tuple[str, str], label: str) -> None:
    for form in ("{split}/{part}", "{part}/{split}"):
        folder = tmp_path / form[1:3]
        for part in (names[0].upper(), names[1].capitalize(), label):
            for split in ("train", "Val", "test"):
                save(folder / form.format(split=split, part=part) / "1.png", np.zeros((8, 8), np.uint8))
        assert {split: len(tiles) for split, tiles in found(folder).listed.items()} == dict.fromkeys(
            ("train", "val", "test"), 1
        )


def test_lists_that_lack_files_and_files_that_lack_a_list_are_said(tmp_path: Path) -> None:
    folder = flat(tmp_path / "files")
    (folder / "list/test.txt").write_text("A/t_4.png\nt_99\n")
    (folder / "list/demo.txt").write_text("t_0.png\n")
    files = found(folder)
    assert files.listed["test"] == ["A/t_4.png"]
    assert files.left_out == ["1 listed name without files: t_99", "1 tile in no list: A/t_5.png"]
    assert files.notes == ["list/demo.txt is not read: its name is that of no split"]
    for path in (folder / "list").iterdir():
        path.unlink()
    files = found(folder)
    assert (list(files.listed), len(files.listed["test"])) == (["test"], 6)
    assert "all tiles are taken as test" in files.notes[0]


@pytest.mark.parametrize(("changed", "suffix"), [(255, "png"), (1, "png"), (38, "png"), (255, "jpg")])
def test_masks_of_any_two_numbers_and_of_jpeg(tmp_path: Path, changed: int, suffix: str) -> None:
    folder = flat(tmp_path / "files")
    blocks = np.zeros((SIDE, SIDE), np.uint8)
    blocks[:, 8:] = changed
    blocks[3, 3] = changed
    for number in range(6):
        (folder / f"label/t_{number}.png").unlink()
        save(folder / f"label/t_{number}.{suffix}", blocks, **({"quality": 95} if suffix == "jpg" else {}))
    threshold = Folders(folder).threshold_of_masks()
    assert threshold == (127 if suffix == "jpg" else 0)
    reader = Folders(folder, threshold=threshold)
    (label,) = reader.changes(reader.sites()[0]).values()
    assert np.array_equal(label[:SIDE], blocks > 0)
    assert bool(threshold) == any("above 127 is change" in note for note in reader.facts().notes)


def test_a_known_set_has_its_own_facts_and_what_is_given_goes_before(tmp_path: Path) -> None:
    folder = flat(tmp_path / "files")
    _, levir = ingest.prepare("levir", "LEVIR-CD", folder, tmp_path)
    assert (levir.title, levir.sensor.resolution) == ("LEVIR-CD", 0.5)
    assert levir.citation.startswith("Chen, H., Shi, Z.")
    assert [str(period.start) for period in levir.periods.periods()] == ["2002-01-01", "2007-01-01"]
    _, other = ingest.prepare(
        "other",
        "cdd",
        folder,
        tmp_path,
        0.3,
        ingest.Given(title="Ours", licence="CC-BY-4.0", dates="2012,2016-05-03"),
    )
    assert (other.title, other.sensor.resolution, other.source.described.licence) == (
        "Ours",
        0.3,
        "CC-BY-4.0",
    )
    assert [str(period.start) for period in other.periods.periods()] == ["2012-01-01", "2016-05-03"]
    with pytest.raises(InputError, match="--title: what is published as minenetcd256 has its own"):
        ingest.prepare("third", "minenetcd256", folder, tmp_path, given=ingest.Given(title="x"))


@pytest.mark.parametrize("name", SETS)
def test_facts_of_known_sets_can_be_read(name: str) -> None:
    assert list(spans_of(SETS[name].dates)) == ["before", "after"]


@pytest.mark.parametrize(
    "dates", ["2016,2012", "2012", "2012,later", "2016..2012,2018", "2012-01-01,2012-01-01"]
)
def test_dates_that_cannot_be_are_refused(dates: str) -> None:
    with pytest.raises(InputError, match="--dates"):
        spans_of(dates)


def test_of_one_unknown_date_it_is_known_that_it_is_earlier() -> None:
    before, after = spans_of("unknown,2016").values()
    assert (before[1].isoformat(), after[0].isoformat()) == ("2016-12-30", "2016-01-01")


def test_what_folders_exports_as_pictures_is_read_again(tiny, tmp_path: Path) -> None:
    exported(tiny, "folders", tmp_path / "out")
    reader = Folders(tmp_path / "out")
    assert reader.threshold_of_masks() == 0
    for split, names in reader.pairs.listed.items():
        assert [Path(name).name for name in names] == (
            tmp_path / "out/list" / f"{split}.txt"
        ).read_text().split()
    site = reader.sites()[-1]
    for label, part in (("before", "A"), ("after", "B")):
        shown = [np.asarray(Image.open(tmp_path / "out" / part / Path(name).name)) for name in site.tiles]
        assert np.array_equal(np.moveaxis(reader.image(site, label), 0, -1), np.concatenate(shown))
    (label,) = reader.changes(site).values()
    assert np.array_equal(label == 1, np.concatenate([truth_of(tiny, name) == 1 for name in site.tiles]))


def test_what_folders_exports_as_geotiffs_comes_in_again(tiny, tmp_path: Path) -> None:
    exported(tiny, "folders", tmp_path / "out", "tif")
    benchmark, loaded, done = made(tmp_path, tmp_path / "out")
    assert (loaded.sensor.resolution, loaded.sensor.bands) == (10, tiny[1].sensor.bands)
    assert "--resolution" not in done.notes[-1]
    cubes, named = Cubes(benchmark.data), pd.read_parquet(benchmark.table("imported"))
    places = {(tile.site_id, tile.y0): tile for tile in tiles_of(pd.read_parquet(benchmark.table("tiles")))}
    for split in ("train", "val", "test"):
        pairs = data.open(tiny[0].data, split=split)
        wanted = {f"{p['tile_id']}_{p['t1']}_{p['t2']}.tif": p for p in (pairs[i] for i in range(len(pairs)))}
        rows = named[named.site_id.str.startswith(f"{split}-")]
        assert sorted(Path(file).name for file in rows.file) == sorted(wanted)
        for row in rows.itertuples():
            tile, pair = places[row.site_id, row.y0], wanted[Path(row.file).name]
            images, _ = cubes.read(tile)
            for pixels, part in zip(images, "ab", strict=True):
                assert np.array_equal(pairs.scale.apply(pixels), pair[part].numpy())
            assert np.array_equal(cubes.label(tile, "before", "after"), pair["label"].numpy())


def truth_of(tiny, name: str) -> np.ndarray:
    """The label of an exported pair."""
    for split in ("train", "val", "test"):
        if (label := truth(tiny, split).get(Path(name).stem)) is not None:
            return label
    raise KeyError(name)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: (folder / "B/t_3.png").unlink(), "t_3.png has no counterpart in"),
        (lambda folder: save(folder / "A/t_3.png", np.zeros((9, 16, 3), np.uint8)), "9 x 16 pixels"),
    ],
)
def test_pairs_that_do_not_fit_are_named(tmp_path: Path, harm, message: str) -> None:
    folder = flat(tmp_path / "files")
    harm(folder)
    with pytest.raises(InputError, match=message):
        made(tmp_path, folder)


def test_transparent_pixels_have_no_data(tmp_path: Path) -> None:
    folder = flat(tmp_path / "files")
    alpha = np.full((SIDE, SIDE, 1), 255, np.uint8)
    alpha[8:] = 0
    save(folder / "A/t_0.png", np.concatenate([pixels(0), alpha], axis=-1))
    benchmark, _, _ = made(tmp_path, folder)
    cube = zarr.open_group(benchmark.cube("train-0000"), mode="r")
    assert not cube["clear"][0, 8:SIDE].any()
    assert cube["clear"][0, :8].all()
    assert not cube["image"][0, :, 8:SIDE].any()
    item = data.open(benchmark.data, split="train")[0]
    assert not item["a"][:, 8:].any()
    assert (item["label"][8:] == 255).all()
    assert item["a"][:, :4, :4].all()  # black is a colour


def test_ingest_of_another_set_of_the_same_folder_is_refused(unknown, tmp_path: Path) -> None:
    benchmark, loaded, _ = unknown
    assert recipe.load(benchmark.recipe) == loaded
    again, _ = ingest.prepare("ours", "folders", loaded.source.path, benchmark.root)
    assert again == benchmark

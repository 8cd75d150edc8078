"""`unet-hmm` and `unet-hmm-change` through the command line: trained, scored, predicted, reported."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from minebench.cube.windows import Cubes
from models.evaluation import sitewide
from models.evaluation.inference import Smoothed
from models.evaluation.stacks import Stacks
from models.smoothing import Smoothing
from models.training.checkpoint import load_run
from models.training.objective import Standardise
from tests.conftest import run

RUNS = ("unet", "unet-hmm", "unet-hmm-change")


@pytest.fixture(scope="module")
def smoothed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = Path(shutil.copytree(built, tmp_path_factory.mktemp("smoothed") / "project"))
    for words in (["train", "--model", "unet-hmm"], ["train", "--model", "unet-hmm-change"]):
        assert (done := run(*words, cwd=project)).returncode == 0, done.stderr
    for name in RUNS:
        assert (done := run("evaluate", "--model", name, cwd=project)).returncode == 0, done.stderr
    return project


def metrics(project: Path, name: str) -> dict[str, object]:
    return dict(json.loads((project / f"data/tiny/runs/{name}/metrics.json").read_text()))


def test_what_is_scored_is_the_chain_over_the_networks_series(smoothed: Path) -> None:
    data = smoothed / "data/tiny"
    network, scale, saved = load_run(data, "unet-hmm-change")
    chain = Smoothing(**saved["smoothing"])
    assert 0 < chain.growth < 1
    predicts = Smoothed(network, chain)
    stack = next(iter(Stacks(data, "test", scale, torch.device("cpu"))))
    pairs = [(0, 1), (0, 2), (1, 2)]
    with torch.no_grad():
        logits = network(stack.images)[:, 0]
    seen = (stack.images != 0).any(dim=1)
    assert torch.allclose(
        torch.sigmoid(predicts.pairs(stack, pairs)),
        chain.changes(logits, seen, stack.periods, pairs),
        atol=1e-5,
    )
    assert torch.allclose(
        torch.sigmoid(predicts.masks(stack)), chain.marginals(logits, seen, stack.periods), atol=1e-5
    )
    assert metrics(smoothed, "unet-hmm-change")["task"] == "change"
    assert metrics(smoothed, "unet-hmm")["task"] == "segmentation"


def test_whole_sites_are_smoothed_too(smoothed: Path) -> None:
    for name in RUNS[1:]:
        assert (done := run("predict", "--model", name, cwd=smoothed)).returncode == 0, done.stderr
    files = sorted((smoothed / "data/tiny/predictions/unet-hmm").glob("*/*.tif"))
    change = sorted((smoothed / "data/tiny/predictions/unet-hmm-change").glob("*/*.tif"))
    assert len(files) > len(change) > 0
    data = smoothed / "data/tiny"
    network, scale, saved = load_run(data, "unet-hmm")
    cubes, site = Cubes(data), files[0].parent.name
    given = (network, cubes, site, 64, Standardise(scale), torch.device("cpu"))
    plain = sitewide.probability(*given, None)
    seen = torch.from_numpy(~np.isnan(plain))
    logits = torch.logit(torch.from_numpy(np.nan_to_num(plain, nan=0.5)))
    chain, labels = Smoothing(**saved["smoothing"]), cubes.periods(site)
    for label, expected in zip(labels, chain.marginals(logits, seen, labels).numpy(), strict=True):
        with rasterio.open(data / f"predictions/unet-hmm/{site}/{label}.tif") as file:
            found, known = file.read(1).astype(float), seen[labels.index(label)].numpy()
        assert (np.abs(found - 100 * expected)[known] <= 0.51).all()
        assert (found[~known] == 255).all()
    (expected,) = chain.changes(logits, seen, labels, [(0, 1)]).numpy()
    with rasterio.open(data / f"predictions/unet-hmm-change/{site}/{labels[0]}_{labels[1]}.tif") as file:
        found, known = file.read(1).astype(float), seen[:2].all(dim=0).numpy()
    assert (np.abs(found - 100 * expected)[known] <= 0.51).all()


def test_a_site_is_smoothed_by_rows_as_it_is_whole(smoothed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cubes, chain = Cubes(smoothed / "data/tiny"), Smoothing(0.05, 0.02, 0.3)
    site = sorted(path.stem for path in cubes.folder.glob("*.zarr"))[0]
    cube = cubes.cube(site)
    given = np.random.default_rng(0).random((len(cube.periods), *cube.clear.shape[1:])).astype(np.float32)
    for pairs in (None, [(0, 1), (1, 2)]):
        whole = sitewide._smoothed(given, cubes, site, chain, pairs)
        monkeypatch.setattr(sitewide, "AT_ONCE", 7 * given.shape[0] * given.shape[2])
        assert np.allclose(sitewide._smoothed(given, cubes, site, chain, pairs), whole, atol=1e-6)
    seen = torch.from_numpy(np.stack([~own for own in sitewide._unseen(cubes, site, None)]))
    expected = chain.marginals(torch.logit(torch.from_numpy(given)), seen, cube.periods)
    assert np.allclose(sitewide._smoothed(given, cubes, site, chain, None), expected.numpy())


def test_it_stands_beside_what_it_smooths(smoothed: Path) -> None:
    for stage in ("compare", "catalog", "report", "check"):
        assert (done := run(stage, cwd=smoothed)).returncode == 0, (stage, done.stderr)
    page = (smoothed / "data/tiny/report/index.html").read_text()
    assert "Smoothed over time" in page
    card = (smoothed / "data/tiny/leaderboard/cards/unet-hmm.md").read_text()
    assert "growth" in card


def test_new_weights_below_are_noticed(smoothed: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(smoothed, tmp_path / "project"))
    path = project / "data/tiny/runs/unet-hmm/run.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"smooths": {"run": "unet", "weights_sha256": "of others"}}))
    done = run("compare", cwd=project)
    assert done.returncode == 1
    assert "unet-hmm smooths other weights" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--model", "bit-hmm"], "only footprints are smoothed"),
        (["train", "--model", "nonet-hmm"], "There is no model 'nonet'"),
        (["explain", "--model", "unet-hmm"], "minebench explain --model unet"),
        (["evaluate", "--model", "unet-hmm-change", "--analysis", "scale"], "looks at whole series"),
        (["evaluate", "--model", "sqnet-hmm"], "is missing"),
    ],
)
def test_wrong_words_are_one_sentence(smoothed: Path, words: list[str], said: str) -> None:
    done = run(*words, cwd=smoothed)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1

"""U-TAE looks at the whole series, and gives a map per date."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml

import models
from models.evaluation.inference import mask_logits
from models.segmentation import utae
from tests.conftest import run


def test_its_size_is_the_published_one() -> None:
    """1,087 thousand with twenty classes and one learnt query a head, in place of one class and a layer that
    makes queries."""
    own = sum(p.numel() for p in models.create("utae", in_channels=10).parameters())
    twenty_classes = 19 * (32 * 9 + 1) + 2 * 20  # and a norm after them
    queries = (256 + 1) * 64 - 16 * 4
    assert round((own + twenty_classes - queries) / 1000) == 1087


def test_every_date_sees_the_others() -> None:
    torch.manual_seed(0)
    network = models.create("utae", in_channels=3, width=16).eval()
    series = torch.randn(1, 4, 3, 32, 32)
    other = series.clone()
    other[:, 2] += 1
    with torch.no_grad():
        before, after = network(series), network(other)
        alone = network(series[:, 0])
    assert before.shape == (4, 1, 32, 32)
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not torch.allclose(before[0], alone[0])
    assert torch.equal(mask_logits(network, series[0]), before[:, 0])


def test_series_of_a_batch_do_not_meet() -> None:
    torch.manual_seed(0)
    network = models.create("utae", in_channels=3, width=16).eval()
    series = torch.randn(2, 3, 3, 32, 32)
    with torch.no_grad():
        both = network(series)
        each = torch.cat([network(series[:1]), network(series[1:])])
    assert torch.allclose(both, each, atol=1e-5)


def test_what_is_mixed_is_weighed_by_head() -> None:
    """A head that looks at one date alone adds that date's share of the channels."""
    maps = torch.randn(1, 3, 32, 4, 4)
    weights = torch.zeros(1, utae.HEADS, 3, 3, 2, 2)
    weights[:, :, :, 1] = 1
    found = utae.mixed(maps, weights)
    assert torch.allclose(found, maps + maps[:, 1:2], atol=1e-6)


def test_it_trains_on_series_and_on_nothing_else(built: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(built, tmp_path / "project"))
    params = yaml.safe_load((project / "params.yaml").read_text())
    short = {"steps": 2, "batch": 1, "crop": 32, "validation_items": 1, "options": {"width": 16}}
    for own, said in (({**short, "series": False}, "set `series: true`"), (short, "")):
        params["train"] = {"utae": own}
        (project / "params.yaml").write_text(yaml.safe_dump(params))
        done = run("train", "--model", "utae", cwd=project)
        assert (done.returncode == 0) == (not said), done.stderr
        assert said in done.stderr
    for stage in ("evaluate", "predict", "explain"):
        assert (done := run(stage, "--model", "utae", cwd=project)).returncode == 0, (stage, done.stderr)


@pytest.mark.parametrize("name", ["unet", "utae"])
def test_predictions_are_the_forward_pass(name: str) -> None:
    torch.manual_seed(0)
    network = models.create(name, in_channels=3, width=16).eval()
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        expected = network(images[None])[:, 0] if network.sees_series else network(images)[:, 0]
    assert torch.allclose(mask_logits(network, images), expected)

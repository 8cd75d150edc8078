import subprocess
import sys

import pytest
import torch

import models
from models.errors import InputError


def parameters(name: str, **options: object) -> int:
    network = models.create(name, in_channels=3, **options)
    return sum(p.numel() for p in network.parameters())


def test_sizes_against_published_code() -> None:
    # FC-Siam-diff: 1,350,146 with two outputs; ours has one.
    assert parameters("fc-siam-diff") == pytest.approx(1_350_146, rel=0.001)
    # U-Net with one output and batch norm in place of biases: 31.0 million.
    assert parameters("unet") == pytest.approx(31.04e6, rel=0.01)


@pytest.mark.parametrize("name", ["fc-siam-diff", "unet"])
@pytest.mark.parametrize("size", [(64, 64), (50, 37), (16, 16)])
@pytest.mark.parametrize("channels", [3, 10])
def test_logits_have_the_images_size(name: str, size: tuple[int, int], channels: int) -> None:
    network = models.create(name, in_channels=channels, width=4).eval()
    dates = 2 if models.task_of(name) == "change" else 1
    logits = network(*(torch.randn(2, channels, *size) for _ in range(dates)))
    assert logits.shape == (2, 1, *size)


@pytest.mark.parametrize("name", ["fc-siam-diff", "unet"])
def test_alone_as_in_a_batch(name: str) -> None:
    torch.manual_seed(0)
    network = models.create(name, in_channels=4, width=4).eval()
    dates = 2 if models.task_of(name) == "change" else 1
    images = [torch.randn(3, 4, 32, 32) for _ in range(dates)]
    together = network(*images)
    alone = torch.cat([network(*(image[i : i + 1] for image in images)) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_encode_once_is_the_same_model() -> None:
    torch.manual_seed(0)
    network = models.create("fc-siam-diff", in_channels=4, width=4).eval()
    images = torch.randn(3, 4, 32, 32)
    features = network.encode(images)
    pairs = network.decode([f[[0, 0, 1]] for f in features], [f[[1, 2, 2]] for f in features])
    assert torch.allclose(pairs, network(images[[0, 0, 1]], images[[1, 2, 2]]), atol=1e-5)


@pytest.mark.parametrize("name", ["fc-siam-diff", "unet"])
def test_overfits_two_items(name: str) -> None:
    torch.manual_seed(0)
    network = models.create(
        name, in_channels=3, width=8, **({"dropout": 0.0} if name == "fc-siam-diff" else {})
    )
    label = torch.zeros(2, 1, 32, 32)
    label[0, :, 4:14, 6:20] = 1
    label[1, :, 18:30, 10:22] = 1
    a = torch.randn(2, 3, 32, 32) * 0.1
    images = [a, a + label] if models.task_of(name) == "change" else [a + label]
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(network(*images), label).backward()
        optimiser.step()
    # Batch statistics: with two items the running ones have hardly begun to settle.
    predicted = network(*images) > 0
    true = label > 0
    f1 = 2 * (predicted & true).sum() / (predicted.sum() + true.sum())
    assert f1 >= 0.99


def test_names_and_unknown_models() -> None:
    assert models.names("change") == ["fc-siam-diff"]
    assert models.names("segmentation") == ["unet"]
    with pytest.raises(InputError, match="no model 'fc-siam-dif'; did you mean fc-siam-diff"):
        models.create("fc-siam-dif", in_channels=3)
    with pytest.raises(InputError, match="does not take these options"):
        models.create("unet", in_channels=3, depth=9)


def test_models_never_import_the_pipeline() -> None:
    code = (
        "import sys, models.train, models.evaluate, models.activity;"
        "heavy = {'pipeline', 'rasterio', 'geopandas', 'shapely', 'xarray', 'pystac', 'pydantic', 'typer'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

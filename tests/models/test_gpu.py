"""What runs on a CUDA GPU is what runs on the CPU: `make gpu`, where there is one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from minebench.data.datasets import Scale
from minebench.errors import WorkError
from models import registry
from models.evaluation.evaluate import evaluate
from models.training import train
from models.training.batches import BatchSampler
from models.training.objective import Objective
from models.training.settings import Settings
from tests.conftest import ROOT
from tests.zoo.names import DEEP, images_for, made

pytestmark = pytest.mark.gpu
SMALL = {
    "steps": 4,
    "batch": 2,
    "crop": 32,
    "validate_every": 2,
    "validation_items": 4,
    "options": {"width": 4},
}
ANY = Scale(np.full(3, 2500, np.float32), np.full(3, 1400, np.float32))


@pytest.fixture(scope="module")
def gpu() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA GPU here")
    return torch.device("cuda")


@pytest.fixture
def exact() -> Iterator[None]:
    """Full float32 in convolutions and products."""
    kept = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = kept


@pytest.mark.parametrize("name", DEEP)
@torch.no_grad()
def test_logits_are_those_of_the_cpu(gpu: torch.device, exact: None, name: str) -> None:
    torch.manual_seed(0)
    network = made(name).eval()
    images = images_for(name, 2, 64)
    if network.sees_series:
        images = [torch.randn(1, 4, 3, 64, 64)]
    here = network(*images)
    there = network.to(gpu)(*(image.to(gpu) for image in images)).cpu()
    assert torch.linalg.norm(there - here) <= 1e-3 * torch.linalg.norm(here)


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("name", DEEP)
def test_a_step_has_gradients(gpu: torch.device, name: str, precision: str) -> None:
    torch.manual_seed(0)
    network, task = made(name), registry.task_of(name)
    settings = Settings(series=network.sees_series, augment=("flip", "turn"))
    dates = 4 if network.sees_series else 2 if task == "change" else 1
    objective = Objective(network, task, ANY, settings).to(gpu).train()
    images = torch.randint(1, 5000, (2, dates, 3, 64, 64), device=gpu).to(torch.uint16)
    masks = torch.randint(0, 2, (2, dates if settings.series else 1, 64, 64), device=gpu, dtype=torch.uint8)
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=precision == "bf16"):
        loss = objective(images, masks)
    loss.backward()
    found = [p.grad for p in network.parameters() if p.grad is not None]
    assert found
    assert torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in found)


@pytest.mark.parametrize("crop", [None, 32])
def test_batches_on_the_gpu_are_the_batches(gpu: torch.device, built: Path, crop: int | None) -> None:
    source = BatchSampler(built / "data/tiny", "change", "train", Settings(batch=3, crop=crop))
    for step, batch in enumerate(source.batches(0, 9, device=gpu)):
        # So that work is under way on a batch while the next ones come.
        torch.cuda._sleep(10_000_000)
        wanted = source.batch(step)
        assert batch.images.device.type == "cuda"
        assert torch.equal(batch.images.cpu(), wanted.images)
        assert torch.equal(batch.masks.cpu(), wanted.masks)


def test_training_and_scoring(gpu: torch.device, project: Path) -> None:
    benchmark = project / "data/tiny"
    path = train.train(benchmark, "fc-siam-diff", Settings.of(SMALL, "fc-siam-diff"))
    scores = evaluate(benchmark, "fc-siam-diff")
    alone = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    code = (
        "from pathlib import Path; from models.evaluation.evaluate import evaluate; import sys, json; "
        "print(json.dumps(evaluate(Path(sys.argv[1]), 'fc-siam-diff')['pixels']))"
    )
    for name in ("timing.json", "metrics.json"):
        (path.parent / name).unlink()
    words = [sys.executable, "-c", code, str(benchmark)]
    here = subprocess.run(words, env=alone, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pixels = json.loads(here.strip().splitlines()[-1])
    total = sum(pixels.values())
    assert sum(scores["pixels"].values()) == total
    assert all(abs(scores["pixels"][name] - count) <= 0.01 * total for name, count in pixels.items())


def test_a_loss_that_is_not_a_number_is_a_sentence(gpu: torch.device, project: Path) -> None:
    given = {**SMALL, "learning_rate": 1e30}
    with pytest.raises(WorkError, match="loss is not a number at step"):
        train.train(project / "data/tiny", "fc-siam-diff", Settings.of(given, "fc-siam-diff"))


def test_a_process_of_a_group_trains(gpu: torch.device, project: Path) -> None:
    """Through DistributedDataParallel and NCCL."""
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "1", "-m", "pipeline.cli"]
    done = subprocess.run(
        [*words, "train", "--benchmark", "tiny", "--model", "fc-siam-diff"],
        cwd=project, env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (project / "data/tiny/runs/fc-siam-diff/model.pt").is_file()

"""Recipes are their authors' where they say so, and name what is not."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models import registry
from models.recipes import EUROMINENET, FOOTPRINTS, MINENETCD, OMS2CD, SHARED
from models.training.losses import loss_of
from models.training.settings import Settings


def published_loss(logits: Tensor, true: Tensor) -> Tensor:
    """likyoo/Siam-NestedUNet utils/losses.py and confusion.py, of logits (N, 2, H, W): cross-entropy, and one
    minus the mean Dice of both classes over the batch."""
    entropy = F.cross_entropy(logits, true)
    p, each = F.softmax(logits, dim=1), F.one_hot(true, 2).movedim(-1, 1).to(logits)
    dims = (0, 2, 3)
    dice = 2 * (p * each).sum(dims) / ((p + each).sum(dims) + 1e-7)
    return entropy + 1 - dice.mean()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_the_loss_of_both_classes_is_the_published_one(share: float) -> None:
    """With its gradient, and where nothing changed. Both are sums of float32."""
    torch.manual_seed(0)
    z = torch.randn(2, 1, 16, 16, requires_grad=True)
    true = torch.rand(2, 16, 16) < share
    ours = loss_of(z, true.to(torch.uint8), "bce-dice-both")
    (gradient,) = torch.autograd.grad(ours, z)
    theirs = published_loss(torch.cat([torch.zeros_like(z), z], dim=1), true.long())
    (their_gradient,) = torch.autograd.grad(theirs, z)
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert torch.allclose(gradient, their_gradient, atol=1e-7)


@pytest.mark.parametrize("name", ["snunet", "lsnet", "mspsnet", "hanet"])
def test_models_with_it_train_with_it(name: str) -> None:
    assert Settings.of({}, name).loss == "bce-dice-both"


def test_settings_are_the_authors() -> None:
    """OMS2CD (Dibble 2023), 3.4.3.1; every *_MNCD256.yml of EricYu97/UCD; AFCF3D-Net utils/dataset.py."""
    for name in ("tinycd", "bit"):
        assert Settings.of({"recipe": "oms2"}, name).schedule == "constant"
    for name in ("resunet", "fcnpp", "rdpnet"):
        settings = Settings.of({}, name)
        assert (settings.batch, settings.learning_rate, settings.epochs) == (32, 1e-4, 100)
    assert Settings.of({}, "afcf3d").augment == ("flip", "rotate", "brightness", "blur")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("afcf3d", ["clamp of single gradients", "contrast"]),
        ("tinycd", ["contrast"]),
        ("hcgmnet", ["restarts", "mosaics", "crops", "colour", "label noise", "15 degrees"]),
        ("cgnet", ["restarts", "mosaics", "crops", "colour", "label noise", "15 degrees"]),
        ("lsnet", ["denseFPN", "contra_hybrid"]),
        ("minenetcd-swin-t", ["README", "batches of 16", "swings"]),
        ("tfi-gr", ["3 %"]),
        ("a2net", ["3 %"]),
    ],
)
def test_what_is_not_the_authors_is_named(name: str, words: list[str]) -> None:
    whose = registry.recipe(name).whose
    assert [word for word in words if word not in whose] == []


def test_what_the_papers_do_not_say_is_named() -> None:
    assert "does not say how many epochs" in EUROMINENET.whose
    assert "epochs, flips and turns are ours" in FOOTPRINTS.whose
    assert "flexible models with backbones" in FOOTPRINTS.whose
    assert "patience of 10 is ours" in OMS2CD.whose
    assert "names no augmentation" in MINENETCD.whose


def test_oms2_is_the_thesis_and_no_more() -> None:
    """3.4.3.1 has no schedule; 3.3.4 flips, noise and affine transforms."""
    for name in ("tinycd", "bit"):
        settings = Settings.of({"recipe": "oms2"}, name)
        assert (settings.schedule, settings.augment) == ("constant", ("flip", "noise", "affine"))


ALL = [name for task in registry.REGISTRY for name in registry.names(task)]


@pytest.mark.parametrize("word", SHARED)
def test_another_works_settings_keep_the_models_weights(word: str) -> None:
    """Each model begins with the weights of its own recipe, under any work's settings."""
    begun = {name: Settings.of({}, name).weights for name in ALL}
    assert {name: Settings.of({"recipe": word}, name).weights for name in ALL} == begun
    assert "pretrained" in begun.values()


def test_minenet_makes_no_augmentation() -> None:
    assert Settings.of({"recipe": "minenet"}, "minenetcd-swin-t").augment == ()

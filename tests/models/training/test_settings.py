"""Settings: whose they are, what they do to the rate, and what they refuse."""

import math

import pytest
import torch

from minebench.errors import InputError
from models import names, registry
from models.recipes import EUROMINENET, MINENETCD, OMS2CD
from models.training.augment import Augment, scale_cropped
from models.training.optimiser import optimiser_of, schedule_of
from models.training.settings import Settings


@pytest.mark.parametrize("name", [*names("change"), *names("segmentation")])
def test_every_model_says_whose_its_settings_are(name: str) -> None:
    recipe = registry.recipe(name)
    assert recipe.whose
    assert Settings.of({}, name)


def test_anothers_settings_by_name() -> None:
    assert Settings.of({}, "bit").optimiser == "sgd"
    for word, recipe in (("euromine", EUROMINENET), ("minenet", MINENETCD), ("oms2", OMS2CD)):
        settings = Settings.of({"recipe": word, "epochs": 3}, "bit")
        assert settings.learning_rate == recipe.settings["learning_rate"]
        assert settings.epochs == 3
    assert Settings.of({"recipe": "euromine"}, "tinycd").series
    with pytest.raises(InputError, match="recipe is 'nobody'; choose one of euromine, minenet, oms2"):
        Settings.of({"recipe": "nobody"}, "bit")


def rates(**given: object) -> list[float]:
    """The rate of each of twenty steps, ten an epoch."""
    settings = Settings.of({"learning_rate": 1.0, "optimiser": "sgd", **given}, "fc-ef")
    optimiser = optimiser_of(torch.nn.Linear(1, 1), settings, torch.device("cpu"))  # type: ignore[arg-type]
    schedule = schedule_of(optimiser, settings, 20, 10)
    found = []
    for _ in range(20):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


def test_schedules_are_their_formulas() -> None:
    assert rates(schedule="constant") == [1.0] * 20
    assert rates(schedule="exponential", step_factor=0.95) == pytest.approx([1.0] * 10 + [0.95] * 10)
    assert rates(schedule="step", step_epochs=1, step_factor=0.5) == pytest.approx([1.0] * 10 + [0.5] * 10)
    assert rates(schedule="linear") == pytest.approx([1 - step / 20 for step in range(20)])
    assert rates(schedule="polynomial", power=0.9) == pytest.approx([(1 - i / 20) ** 0.9 for i in range(20)])
    cosine = [0.5 * (1 + math.cos(math.pi * step / 20)) for step in range(20)]
    assert rates(schedule="cosine") == pytest.approx(cosine)
    warm = rates(schedule="constant", warmup_steps=4)
    assert warm == pytest.approx([0.2, 0.4, 0.6, 0.8, *[1.0] * 16])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"momentum": 0.5}, "momentum does nothing with optimiser adam: remove it, or set optimiser to sgd"),
        ({"optimiser": "sgd", "betas": [0.9, 0.9]}, "betas does nothing with optimiser sgd"),
        ({"power": 2.0}, "power does nothing with schedule exponential"),
        ({"pairs": 4}, "pairs does nothing with series False: remove it, or set series to true"),
    ],
)
def test_settings_that_do_nothing_are_refused(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Settings.of(given, "fc-ef")


def test_a_model_with_a_loss_of_its_own_takes_no_other() -> None:
    with pytest.raises(InputError, match="loss does nothing, because mask2former-swin-t has a loss"):
        Settings.of({"loss": "focal"}, "mask2former-swin-t")


def test_scale_crop_shows_a_part_at_the_tiles_size() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(1, 2, 40).expand(1, 2, 3, 40, 40).clone()
    masks = (ramp[:, :1, 0] > 1.5).to(torch.uint8)
    images, labels = scale_cropped(ramp, masks)
    assert images.shape == ramp.shape
    slope = (images[0, 0, 0, 20, 30] - images[0, 0, 0, 20, 10]) / (
        ramp[0, 0, 0, 20, 30] - ramp[0, 0, 0, 20, 10]
    )
    assert 1 / 1.2 - 0.02 <= slope < 1
    agrees = (labels[0, 0] == 1) == (images[0, 0, 0] > 1.5)
    assert agrees[:, 2:-2].float().mean() > 0.97
    masks[:] = 255
    assert (scale_cropped(ramp, masks)[1] == 255).all()


@pytest.mark.parametrize("word", ["blur", "brightness", "rotate", "scale-crop"])
def test_what_has_no_data_stays_without(word: str) -> None:
    torch.manual_seed(1)
    images = torch.randn(4, 2, 3, 32, 32) + 5
    images[..., :8, :] = 0
    masks = torch.zeros(4, 1, 32, 32, dtype=torch.uint8)
    changed, _ = Augment((word,), context=False)(images, masks)
    assert not torch.equal(changed, images)
    none = (changed == 0).all(dim=2)
    assert none.any()
    assert ((changed != 0).all(dim=2) | none).all()
    if word in ("blur", "brightness"):
        assert torch.equal(none, (images == 0).all(dim=2))


def test_moves_are_refused_with_neighbourhoods() -> None:
    for word in ("affine", "rotate", "scale-crop"):
        with pytest.raises(InputError, match=f"'{word}' cannot move a tile together with its neighbourhood"):
            Augment((word,), context=True)

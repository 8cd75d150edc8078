"""What resampling mixes with pixels without data."""

import pytest
import torch

from minebench.errors import InputError
from minebench.masks import UNKNOWN
from models.training.augment import Augment

WORDS = [("affine",), ("rotate",), ("scale-crop",), ("affine", "rotate", "scale-crop")]


@pytest.mark.parametrize("words", WORDS)
def test_a_pixel_is_whole_or_without_data_and_unknown(words: tuple[str, ...]) -> None:
    """Images are 5 everywhere: what is neither 5 nor 0 was mixed with what is without data."""
    torch.manual_seed(0)
    images = torch.full((16, 2, 3, 32, 32), 5.0)
    images[:, 1, :, 10:14, 10:20] = 0
    masks = torch.randint(0, 2, (16, 1, 32, 32), dtype=torch.uint8)
    masks[:, :, 10:14, 10:20] = UNKNOWN
    moved, label = Augment(words, context=False)(images, masks)
    empty = (moved == 0).all(dim=2)
    # Up to WHOLE of a pixel may be of pixels without data.
    assert ((moved - 5).abs()[~empty[:, :, None].expand_as(moved)] <= 5e-3 + 1e-5).all()
    assert (label[:, 0][empty.any(dim=1)] == UNKNOWN).all()
    assert ((label == 0) | (label == 1)).sum() > 0.5 * label.numel()


@pytest.mark.parametrize("words", WORDS)
def test_a_date_of_a_series_loses_its_own_mask_alone(words: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    images = torch.full((8, 3, 2, 32, 32), 5.0)
    images[:, 1, :, 8:24, 8:24] = 0
    masks = torch.ones(8, 3, 32, 32, dtype=torch.uint8)
    masks[:, 1, 8:24, 8:24] = UNKNOWN
    moved, label = Augment(words, context=False)(images, masks)
    assert torch.equal((moved == 0).all(dim=2), label == UNKNOWN)
    assert (label[:, 1] == UNKNOWN).sum() > (label[:, 0] == UNKNOWN).sum()


def test_labels_over_ground_that_had_no_data_stay() -> None:
    """What was known without data before stays known: whoever gave the label knows."""
    torch.manual_seed(0)
    images, masks = torch.full((8, 1, 2, 32, 32), 5.0), torch.ones(8, 1, 32, 32, dtype=torch.uint8)
    images[..., 16:] = 0
    moved, label = Augment(("scale-crop",), context=False)(images, masks)
    assert (label[(moved == 0).all(dim=2)] == 1).any()


def test_quarter_turns_of_tiles_that_are_not_square_are_refused() -> None:
    images, masks = torch.ones(2, 2, 3, 32, 48), torch.zeros(2, 1, 32, 48, dtype=torch.uint8)
    with pytest.raises(
        InputError, match="'turn' takes square tiles, and these are 32 x 48 pixels: set `crop`"
    ):
        Augment(("flip", "turn"), context=False)(images, masks)
    assert Augment(("flip",), context=False)(images, masks)[0].shape == images.shape

import pytest
import torch

from minebench.errors import InputError
from models.training.augment import Augment, swapped


def marked(count: int = 6, dates: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that hold their own mask plus one in the first band, and masks with unknown rows."""
    masks = torch.randint(0, 2, (count, 1, 32, 32), dtype=torch.uint8)
    masks[:, :, :3] = 255
    images = torch.randn(count, dates, 4, 32, 32)
    images[:, :, 0] = masks.float() + 1
    return images, masks


@pytest.mark.parametrize("words", [("flip",), ("turn",), ("flip", "turn")])
def test_dates_and_mask_move_as_one(words: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    images, masks = marked()
    moved, label = Augment(words, context=False)(images, masks)
    assert not torch.equal(label, masks)
    for date in (0, 1):
        assert torch.allclose(moved[:, date, 0], label[:, 0].float() + 1)
    assert torch.equal(label.flatten(1).sort()[0], masks.flatten(1).sort()[0])


def test_affine_leaves_what_comes_in_unknown_and_without_data() -> None:
    torch.manual_seed(0)
    images, masks = marked(16)
    masks[masks == 255] = 0
    images[:, :, 0] = 5.0
    moved, label = Augment(("affine",), context=False)(images, masks)
    outside = label[:, 0] == 255
    assert outside.any()
    assert set(label.unique().tolist()) == {0, 1, 255}
    inside = ~outside
    # Away from the seam, and from the tile's edge, where bilinear pixels are mixed with the outside.
    padded = torch.nn.functional.pad(outside.float()[:, None], (2, 2, 2, 2), value=1.0)
    kept = torch.nn.functional.max_pool2d(padded, 5, 1)[:, 0] == 0
    assert torch.allclose(moved[:, 0, 0][inside & kept], torch.tensor(5.0), atol=1e-3)
    far = torch.nn.functional.max_pool2d(inside.float()[:, None], 5, 1, 2)[:, 0] == 0
    assert (moved[:, :, 0].permute(0, 2, 3, 1)[far] == 0).all()


def test_a_band_is_dropped_from_all_dates_and_no_data_stays() -> None:
    torch.manual_seed(0)
    images, masks = marked(64, dates=3)
    images[:, 1, :, :5] = 0
    changed, _ = Augment(("drop-band", "noise", "jitter"), context=False)(images, masks)
    assert (changed[:, 1, :, :5] == 0).all()
    assert not torch.equal(changed, images)
    dropped, _ = Augment(("drop-band",), context=False)(images, masks)
    gone = (dropped[:, :, :, 6:] == 0).all(dim=(3, 4))
    assert gone.any()
    assert (gone[:, 0] == gone[:, 1]).all()
    assert (gone[:, 0] == gone[:, 2]).all()


def test_swapped_pairs_keep_their_neighbourhoods() -> None:
    torch.manual_seed(0)
    images = torch.arange(4.0).view(1, 4, 1, 1, 1).expand(32, 4, 1, 2, 2)
    found = swapped(images)[:, :, 0, 0, 0].tolist()
    assert {tuple(row) for row in found} == {(0, 1, 2, 3), (1, 0, 3, 2)}


def test_the_same_seed_draws_the_same() -> None:
    images, masks = marked()
    every = Augment(("flip", "turn", "swap", "affine", "noise", "jitter", "drop-band"), context=False)
    found = []
    for _ in range(2):
        torch.manual_seed(5)
        found.append(every(images, masks))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_affine_with_neighbourhoods_is_refused() -> None:
    with pytest.raises(InputError, match="cannot move a tile together with its neighbourhood"):
        Augment(("affine",), context=True)

"""Augmentation of a batch on its device. What moves pixels is the same for all dates and the mask.

All randomness is torch's, so that a step's seed decides it.
"""

from collections.abc import Iterator
from typing import Any

import kornia.augmentation as K
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.core.errors import InputError
from pipeline.core.masks import UNKNOWN

NOISE = 0.1
"""Deviation of the noise in units of a band's deviation, as OMS2CD has it."""
JITTER = 0.1
"""Deviation of a date's gain and offset, the same for all bands of a date."""


BRIGHTNESS = 0.5
"""Largest offset of a date in units of a band's deviation."""
ROTATION = 5
"""Largest angle of `rotate`, degrees (TinyCD)."""
ENLARGED = 1.2
"""Most that `scale-crop` enlarges a part of the tile to its size (BIT, ChangeFormer)."""


class Augment(nn.Module):
    """Of images (N, D, C, H, W), standardised, and masks (N, M, H, W) in {0, 1, 255}.

    Affine: up to 30 degrees, a tenth of the side, 0.8 to 1.2 times the size (OMS2CD). Scale-crop enlarges a
    part of the tile to its size. What comes in from outside the tile is without data and unknown.
    """

    def __init__(self, words: tuple[str, ...], context: bool) -> None:
        super().__init__()
        if moving := [word for word in ("affine", "rotate", "scale-crop") if context and word in words]:
            raise InputError(
                f"augment: '{moving[0]}' cannot move a tile together with its neighbourhood; remove it here."
            )
        moves: list[Any] = []
        if "affine" in words:
            moves.append(K.RandomAffine(30, translate=(0.1, 0.1), scale=(0.8, 1.2), p=0.5))
        if "rotate" in words:
            moves.append(K.RandomRotation(ROTATION, p=0.5))
        self.moves = K.AugmentationSequential(*moves, data_keys=["input", "mask"]) if moves else None
        self.noise = K.RandomGaussianNoise(0.0, NOISE, p=0.5) if "noise" in words else None
        self.drop = K.RandomChannelDropout(num_drop_channels=1, p=0.2) if "drop-band" in words else None
        self.blur = K.RandomGaussianBlur((5, 5), (0.1, 1.0), p=0.5) if "blur" in words else None
        self.flip, self.turn = "flip" in words, "turn" in words
        self.jitter, self.swap = "jitter" in words, "swap" in words
        self.brightness, self.crop = "brightness" in words, "scale-crop" in words

    @torch.no_grad()
    def forward(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        if self.flip:
            images, masks = flipped(images, masks)
        if self.moves is not None:
            images, masks = self._moved(images, masks)
        if self.turn:
            images, masks = turned(images, masks)
        if self.crop:
            images, masks = scale_cropped(images, masks)
        data = (images != 0).any(dim=2, keepdim=True)
        if self.drop is not None:
            # The band goes from all dates of an item, or its absence would look like change.
            images = torch.stack(list(_same(self.drop, images)), dim=1)
        if self.blur is not None:
            images = torch.stack(list(_same(self.blur, images)), dim=1)
        if self.brightness:
            offset = BRIGHTNESS * (2 * torch.rand(*images.shape[:2], 1, 1, 1) - 1)
            images = images + offset.to(images.device, non_blocking=True)
        if self.noise is not None:
            images = self.noise(images.flatten(0, 1)).view(images.shape)
        if self.jitter:
            drawn = 1 + JITTER * torch.randn(2, *images.shape[:2], 1, 1, 1)
            gain, offset = drawn.to(images.device, non_blocking=True)
            images = images * gain + (offset - 1)
        images = images * data
        return (swapped(images) if self.swap else images), masks

    def _moved(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        # Shifted by one, so that 0, which Kornia fills in from outside, is "unknown".
        label = masks.float() + 1
        moved, label = self.moves(images.flatten(1, 2), torch.where(masks == UNKNOWN, 0, label))  # type: ignore[misc]
        label = label.round().to(torch.uint8)
        return moved.view(images.shape), torch.where(label == 0, UNKNOWN, label - 1)


def flipped(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Each item mirrored from left to right half of the times, and from top to bottom half of the times."""
    for axis, drawn in zip((-1, -2), torch.rand(2, len(images)) < 0.5, strict=True):
        images, masks = (where(drawn, each.flip(axis), each) for each in (images, masks))
    return images, masks


def turned(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Each item by a random number of quarter turns; exactly, where Kornia would resample."""
    once, twice = torch.rand(2, len(images)) < 0.5
    for drawn, times in ((once, 1), (twice, 2)):
        images, masks = (where(drawn, torch.rot90(each, times, (-2, -1)), each) for each in (images, masks))
    return images, masks


def where(drawn: Tensor, changed: Tensor, images: Tensor) -> Tensor:
    """`changed` for the items (N,) that were drawn. Nothing here waits for a GPU."""
    chosen = drawn.to(images.device, non_blocking=True).view(-1, *[1] * (images.dim() - 1))
    return torch.where(chosen, changed, images)


def scale_cropped(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Of each item a square part at random, 1 / ENLARGED of its side or more, enlarged to its size."""
    height, width = images.shape[-2:]
    found = []
    for image, mask in zip(images, masks, strict=True):
        share = 1 / (1 + (ENLARGED - 1) * float(torch.rand(())))
        high, wide = max(1, round(share * height)), max(1, round(share * width))
        top, left = int(torch.randint(height - high + 1, ())), int(torch.randint(width - wide + 1, ()))
        window = (..., slice(top, top + high), slice(left, left + wide))
        larger = F.interpolate(image[window], size=(height, width), mode="bilinear", align_corners=False)
        label = F.interpolate(mask[None][window].float(), size=(height, width), mode="nearest-exact")[0]
        # A pixel beside one without data has none either.
        known = F.interpolate((image[window] != 0).any(dim=1, keepdim=True).float(), size=(height, width),
                              mode="bilinear", align_corners=False) == 1  # fmt: skip
        found.append((larger * known, label.to(mask.dtype)))
    larger_images, labels = zip(*found, strict=True)
    return torch.stack(larger_images), torch.stack(labels)


def _same(change: Any, images: Tensor) -> Iterator[Tensor]:
    """The same random change of every date of an item."""
    yield change(images[:, 0])
    for date in range(1, images.shape[1]):
        yield change(images[:, date], params=change._params)


def swapped(images: Tensor) -> Tensor:
    """Pairs of dates (N, 2, C, H, W), or with their neighbourhoods (N, 4, C, H, W), half of them the
    other way round."""
    pairs = images.unflatten(1, (-1, 2))
    return where(torch.rand(len(images)) < 0.5, pairs.flip(2), pairs).flatten(1, 2)

"""Augmentation of a batch on its device. What moves pixels is the same for all dates and the mask.

All randomness is torch's, so that a step's seed decides it.
"""

from collections.abc import Iterator
from typing import Any

import kornia.augmentation as K
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minebench.errors import InputError
from minebench.masks import UNKNOWN

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
RESAMPLING = ("affine", "rotate", "scale-crop")
"""Words that resample: where that mixes a pixel with one without data, the pixel has none, and is unknown."""
RESAMPLING_VERSION = 2
"""Of what they do: raised when the same settings and data train other weights."""
WHOLE = 1 - 1e-3
"""Least share of a resampled pixel that is of pixels with data; float32's rounding is far below the rest."""


class Augment(nn.Module):
    """Of images (N, D, C, H, W), standardised, and masks (N, M, H, W) in {0, 1, 255}.

    Affine: up to 30 degrees, a tenth of the side, 0.8 to 1.2 times the size (OMS2CD). Scale-crop enlarges a
    part of the tile to its size. What comes in from outside the tile is without data and unknown, and so is a
    pixel that is mixed with it, or with one without data.
    """

    def __init__(self, words: tuple[str, ...], context: bool) -> None:
        super().__init__()
        if moving := [word for word in RESAMPLING if context and word in words]:
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
        data = has_data(images)[:, :, None]
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
        # Where there is data moves with the images, mixed, and with the masks, where the nearest is taken.
        data = has_data(images).to(images.dtype)
        # Shifted by one, so that 0, which Kornia fills in from outside, is "unknown".
        label = torch.where(masks == UNKNOWN, 0, masks.float() + 1)
        dates = images.shape[1]
        moved, near = self.moves(  # type: ignore[misc]
            torch.cat([images.flatten(1, 2), data], dim=1), torch.cat([label, data.to(label.dtype)], dim=1)
        )
        label = near[:, :-dates].round().to(torch.uint8)
        masks = torch.where(label == 0, UNKNOWN, label - 1)
        whole = moved[:, -dates:] > WHOLE
        images = moved[:, :-dates].view(images.shape) * whole[:, :, None]
        return images, without(masks, (near[:, -dates:] > 0.5) & ~whole)


def has_data(images: Tensor) -> Tensor:
    """Return where images (..., C, H, W) have data, (..., H, W): anything but 0 in all bands."""
    return (images != 0).any(dim=-3)


def without(masks: Tensor, lost: Tensor) -> Tensor:
    """Return masks (N, M, H, W), unknown where their dates have lost data (N, D, H, W): a pair's label where
    either date has, a date's mask where that date has."""
    lost = lost if lost.shape[1] == masks.shape[1] else lost.any(dim=1, keepdim=True)
    return torch.where(lost, UNKNOWN, masks)


def flipped(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Each item mirrored from left to right half of the times, and from top to bottom half of the times."""
    for axis, drawn in zip((-1, -2), torch.rand(2, len(images)) < 0.5, strict=True):
        images, masks = (where(drawn, each.flip(axis), each) for each in (images, masks))
    return images, masks


def turned(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Each item by a random number of quarter turns; exactly, where Kornia would resample. InputError where
    tiles are not square."""
    height, width = images.shape[-2:]
    if height != width:
        raise InputError(
            f"augment: 'turn' takes square tiles, and these are {height} x {width} pixels: set `crop`, or "
            "`augment` without it, under train in params.yaml."
        )
    once, twice = torch.rand(2, len(images)) < 0.5
    for drawn, times in ((once, 1), (twice, 2)):
        images, masks = (where(drawn, torch.rot90(each, times, (-2, -1)), each) for each in (images, masks))
    return images, masks


def where(drawn: Tensor, changed: Tensor, images: Tensor) -> Tensor:
    """`changed` for the items (N,) that were drawn. Nothing here waits for a GPU."""
    chosen = drawn.to(images.device, non_blocking=True).view(-1, *[1] * (images.dim() - 1))
    return torch.where(chosen, changed, images)


def scale_cropped(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Of each item a part at random, 1 / ENLARGED of its sides or more, enlarged to its size."""
    height, width = images.shape[-2:]
    found = []
    for image, mask in zip(images, masks, strict=True):
        share = 1 / (1 + (ENLARGED - 1) * float(torch.rand(())))
        high, wide = max(1, round(share * height)), max(1, round(share * width))
        top, left = int(torch.randint(height - high + 1, ())), int(torch.randint(width - wide + 1, ()))
        window = (..., slice(top, top + high), slice(left, left + wide))
        larger = F.interpolate(image[window], size=(height, width), mode="bilinear", align_corners=False)
        data = has_data(image[window])[:, None].float()
        whole = F.interpolate(data, size=(height, width), mode="bilinear", align_corners=False) > WHOLE
        near = torch.cat([mask[None][window].float(), data[None, :, 0]], dim=1)
        near = F.interpolate(near, size=(height, width), mode="nearest-exact")
        label, had = near[:, : len(mask)].to(mask.dtype), near[:, len(mask) :] > 0.5
        found.append((larger * whole, without(label, had & ~whole[None, :, 0])[0]))
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

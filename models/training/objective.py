"""From a batch in stored numbers to its loss, all on the device.

One module, so that Accelerate's processes and torch.compile see one forward.
"""

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minebench.data.datasets import Scale
from models.base import Model, Siamese
from models.training.augment import Augment
from models.training.batches import change_of, pairs_of
from models.training.losses import loss_of, loss_over
from models.training.settings import Settings


class Standardise(nn.Module):
    """Images (..., channel, H, W) in stored numbers to (..., C, H, W) of mean 0 and deviation 1; no data, 0
    in all channels, becomes 0. The same as `Scale.apply`."""

    mean: Tensor
    std: Tensor

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        for name in ("mean", "std"):
            values = np.asarray(getattr(scale, name), np.float32)
            self.register_buffer(name, torch.from_numpy(values).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        channels = images.float()
        data = (channels != 0).any(dim=-3, keepdim=True)
        return (channels[..., : len(self.mean), :, :] - self.mean) / self.std * data


class Objective(nn.Module):
    """The loss of a batch: `images` (N, D, channel, H, W), `masks` (N, M, H, W), as in
    `models.training.batches.Batch`."""

    def __init__(self, network: Model, task: str, scale: Scale, settings: Settings) -> None:
        super().__init__()
        self.network, self.task, self.settings = network, task, settings
        self.standardise = Standardise(scale)
        words = tuple(word for word in settings.augment if word != "swap" or self._pairs)
        self.augment = Augment(words, network.context)

    @property
    def _pairs(self) -> bool:
        return self.task == "change" and not self.settings.series

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            images = self.standardise(images)
            if self.training:
                images, masks = self.augment(images, masks)
        self.network.check([images[:, 0]])
        if not self.settings.series:
            return self._single(list(images.unbind(dim=1)), masks[:, 0])
        return self._change_series(images, masks) if self.task == "change" else self._series(images, masks)

    def _single(self, images: list[Tensor], label: Tensor) -> Tensor:
        if matched := getattr(self.network, "matched_loss", None):
            return cast(Tensor, matched(images[0], label))
        return self._summed(self.network.supervised(*self._laid_out(images)), label)

    def _summed(self, outputs: list[tuple[float, Tensor]], label: Tensor) -> Tensor:
        """The loss of each output, weighed as the model says."""
        loss, positive = self.settings.loss, self.settings.positive_weight
        found = [weight * loss_of(z, reduced(label, z), loss, positive) for weight, z in outputs]
        return torch.stack(found).sum()

    def _series(self, images: Tensor, masks: Tensor) -> Tensor:
        """Mean over the dates of the loss of each."""
        if hasattr(self.network, "matched_loss"):
            return self._single([images.flatten(0, 1)], masks.flatten(0, 1))
        given = [images] if self.network.sees_series else self._laid_out([images.flatten(0, 1)])
        outputs = self.network.supervised(*given)
        return self._averaged(outputs, masks)

    def _change_series(self, images: Tensor, masks: Tensor) -> Tensor:
        """Mean over the pairs of the loss of each; a Siamese encoder sees each date once."""
        pairs = pairs_of(images.shape[1], self.settings.pairs)
        first, second = ([pair[side] for pair in pairs] for side in (0, 1))
        label = change_of(masks, pairs)
        if isinstance(self.network, Siamese):
            laid_out = self._laid_out([images.flatten(0, 1)])[0].unflatten(0, images.shape[:2])
            levels = self.network.encode_series(laid_out)
            a, b = ([level[:, side].flatten(0, 1) for level in levels] for side in (first, second))
            return self._averaged(self.network.supervised_pairs(a, b), label)
        a_images, b_images = (images[:, side].flatten(0, 1) for side in (first, second))
        return self._averaged(self.network.supervised(a_images, b_images), label)

    def _averaged(self, outputs: list[tuple[float, Tensor]], label: Tensor) -> Tensor:
        """Of outputs (N x K, 1, H, W) for labels (N, K, H, W)."""
        loss, positive = self.settings.loss, self.settings.positive_weight
        found = [
            weight * loss_over(z.view(*label.shape[:2], *z.shape[2:]), reduced(label, z), loss, positive)
            for weight, z in outputs
        ]
        return torch.stack(found).sum()

    def _laid_out(self, images: list[Tensor]) -> list[Tensor]:
        if not self.settings.channels_last:
            return images
        return [image.contiguous(memory_format=torch.channels_last) for image in images]


def reduced(label: Tensor, logits: Tensor) -> Tensor:
    """The truth (N, ..., H, W) at the size of logits, by nearest neighbour."""
    if label.shape[-2:] == logits.shape[-2:]:
        return label
    flat = label.reshape(-1, 1, *label.shape[-2:]).float()
    near = F.interpolate(flat, size=logits.shape[-2:], mode="nearest")
    return near.to(label.dtype).view(*label.shape[:-2], *logits.shape[-2:])

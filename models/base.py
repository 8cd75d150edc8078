"""What the engine may ask of a model beside its forward: a few class attributes with defaults.

A change model that looks at each date alone first is `Siamese`: it has `encode` and `decode`, so that
n dates are encoded once for their n(n-1)/2 pairs. Any other change model takes pairs only.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from minebench.errors import InputError
from minebench.text import SWITCHED

Features = Sequence[Tensor]
Name = str | Callable[[re.Match[str]], str]
Names = Sequence[tuple[str, Name] | tuple[str, Name, Callable[[Tensor], Tensor]]]


class Model(nn.Module):
    """A network from images (N, C, H, W) to logits (N, 1, H, W)."""

    in_channels: int
    version: ClassVar[int] = 1
    """Of the architecture: raised when the same settings and data train other weights."""
    smallest: ClassVar[int] = 16
    """Shortest side of an image, pixels."""
    multiple: ClassVar[int] = 1
    """Both sides are multiples of this, pixels."""
    backbone_parts: tuple[str, ...] = ()
    """Submodules that a pretrained encoder fills; trained or frozen as one."""
    head_parts: ClassVar[tuple[str, ...]] = ("head",)
    """Submodules that make the logits; what `mode: head` trains."""
    explained: ClassVar[tuple[str, ...]] = ("head",)
    """Submodules whose inputs GradCAM looks at: what the decision is made from."""
    explained_before: tuple[str, ...] = ()
    """Submodules whose inputs become those of `explained`, level by level; `explain` shows both."""
    between: str = ""
    """What lies between `explained_before` and `explained`."""
    context: ClassVar[bool] = False
    """Takes the neighbourhoods of both dates as well: forward(a, b, a_context, b_context)."""
    sees_series: ClassVar[bool] = False
    """Takes a series (N, T, C, H, W), and gives a footprint a date: logits (N x T, 1, H, W)."""
    of_embeddings: ClassVar[bool] = False
    """Takes Google's Satellite Embedding (`minebench.cube.encoding`) and no other images."""
    classical: ClassVar[bool] = False
    """Learnt at once, not step by step; see `Classical`."""
    made_of: tuple[str, dict[str, Any]] = ("", {})
    """Name and options that `models.create` made it of."""
    published: Names = ()
    """Names of tensors in checkpoints of the published code, as patterns, ours, and what makes ours of the
    tensor where it is laid out otherwise."""
    begun_here: ClassVar[tuple[str, ...]] = ()
    """Words in the names of a backbone's tensors that no file of its encoder has."""
    backbone_published: Names = ()
    """The same of a file with the backbone alone."""
    pretrained: str | tuple[str, ...] | None = None
    """Name on the Hugging Face hub of the weights that the paper begins with; several where it has several
    encoders."""

    @staticmethod
    def rearranged(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of a published checkpoint, under our names already, where ours are cut otherwise."""
        return state

    def supervised(self, *images: Tensor) -> list[tuple[float, Tensor]]:
        """Weights and logits that the loss sees in training: more than one with deep supervision, those of
        less than the image's size compared with the truth's nearest pixels."""
        return [(1.0, self(*images))]

    def check(self, images: Sequence[Tensor]) -> None:
        """InputError where images have other bands than the model, or a size that it cannot take."""
        bands, height, width = images[0].shape[-3:]
        name = type(self).__name__
        if bands != self.in_channels:
            raise InputError(f"{name} was made for {self.in_channels} bands, but these images have {bands}.")
        if min(height, width) < self.smallest:
            raise InputError(
                f"{name} takes tiles of at least {self.smallest} pixels a side, not {height} x {width}: "
                "change tiling.size in the recipe, or crop in the settings."
            )
        if height % self.multiple or width % self.multiple:
            raise InputError(
                f"{name} takes tiles whose sides are multiples of {self.multiple} pixels, not "
                f"{height} x {width}: change tiling.size in the recipe, or crop in the settings."
            )


class Siamese(Model):
    """A change model whose dates meet only in `decode`."""

    together: ClassVar[bool] = False
    """The published code passes both dates through the encoder at once, in training too."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.decode(*self.both(a, b))

    def both(self, a: Tensor, b: Tensor) -> tuple[Features, Features]:
        """Features of either date: in training one after the other, so that batch norm sees each by itself
        as in the published codes, else from one pass over both."""
        if self.training and not self.together:
            return self.encode(a), self.encode(b)
        levels = [level.chunk(2) for level in self.encode(torch.cat([a, b]))]
        return [first for first, _ in levels], [second for _, second in levels]

    def encode_series(self, images: Tensor) -> list[Tensor]:
        """Features (N, D, ...) of series of images (N, D, C, H, W); in training date by date."""
        if self.training and not self.together:
            by_date = [self.encode(image) for image in images.unbind(dim=1)]
            return [torch.stack(levels, dim=1) for levels in zip(*by_date, strict=True)]
        return [level.unflatten(0, images.shape[:2]) for level in self.encode(images.flatten(0, 1))]

    def encode(self, image: Tensor) -> Features:
        """Features of images (N, C, H, W), each with N first."""
        raise NotImplementedError

    def decode(self, a: Features, b: Features) -> Tensor:
        """Logits (N, 1, H, W) of pairs, from the features of their dates."""
        raise NotImplementedError

    def supervised_pairs(self, a: Features, b: Features) -> list[tuple[float, Tensor]]:
        """What the loss sees of pairs that are already encoded."""
        return [(1.0, self.decode(a, b))]

    def supervised(self, *images: Tensor) -> list[tuple[float, Tensor]]:
        return self.supervised_pairs(*self.both(images[0], images[1]))


class Classical(Model):
    """A rule with nothing to learn but its threshold, and what a probe learns at once: logits are
    `statistic` minus the threshold."""

    classical = True
    by_pixel: ClassVar[bool] = False
    """Judges a pixel by its own bands, and is fitted to a sample of pixels instead of whole tiles."""
    head_parts = ()
    highest: float
    """The statistic's largest value of interest; thresholds are looked for from 0 to this."""
    threshold: Tensor

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.register_buffer("threshold", torch.tensor(0.5 * self.highest))

    def forward(self, *images: Tensor) -> Tensor:
        return self.statistic(*images) - self.threshold

    def statistic(self, *images: Tensor) -> Tensor:
        """(N, 1, H, W), larger where change (or a footprint) is more likely."""
        raise NotImplementedError


def options_of(given: dict[str, Any], known: dict[str, Any], model: str) -> Any:
    """One of `known` by the option's word; InputError names the words there are. YAML reads on and off
    as true and false."""
    ((option, word),) = given.items()
    word = SWITCHED[word] if isinstance(word, bool) else word
    if word not in known:
        raise InputError(f"{model}: {option} is '{word}'; choose one of {', '.join(map(str, known))}.")
    return known[word]

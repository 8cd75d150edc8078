"""Cosine change of Google's Satellite Embedding: one minus the cosine of a pixel's vectors on two dates,
above a threshold that the training split chooses."""

from torch import Tensor

from models.base import Classical
from models.layers.probes import vectors
from models.recipes import NOTHING

RECIPE = NOTHING


class EmbeddingCosine(Classical):
    """Vectors have length 1: their dot product is the cosine. Symmetric in the dates."""

    of_embeddings = True
    by_pixel = True
    smallest = 1
    highest = 2.0

    def statistic(self, *images: Tensor) -> Tensor:
        a, b = images
        return 1 - (vectors(a) * vectors(b)).sum(dim=1, keepdim=True)

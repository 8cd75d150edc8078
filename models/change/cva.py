"""Change-vector analysis (Malila 1980): how far a pixel's bands have moved, above a threshold that the
training split chooses."""

from torch import Tensor

from models.base import Classical
from models.recipes import NOTHING

RECIPE = NOTHING


class CVA(Classical):
    """The root mean square over the bands of the two dates' difference, in units of each band's
    standard deviation. Symmetric in the dates."""

    smallest = 1
    highest = 6.0

    def statistic(self, *images: Tensor) -> Tensor:
        a, b = images
        return (a - b).square().mean(dim=1, keepdim=True).sqrt()

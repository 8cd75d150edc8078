"""Change probes of Google's Satellite Embedding: classifiers of how far each component of a pixel moved."""

from models.layers.probes import LinearProbe, NearestProbe
from models.recipes import NOTHING

RECIPE = NOTHING


class Linear(LinearProbe):
    """Logistic regression. Symmetric in the dates."""


class Nearest(NearestProbe):
    """k nearest neighbours. Symmetric in the dates."""

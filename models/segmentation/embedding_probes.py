"""Footprint probes of Google's Satellite Embedding: classifiers of a pixel's vector."""

from models.layers.probes import LinearProbe, NearestProbe
from models.recipes import NOTHING

RECIPE = NOTHING


class Linear(LinearProbe):
    """Logistic regression."""


class Nearest(NearestProbe):
    """k nearest neighbours."""

"""What a model must beat: rules with one threshold and nothing learnt.

Their threshold is the best one for the very pixels they are scored on, which no honest user could
know: a ceiling, so that beating it means something.
"""

import numpy as np
from numpy.typing import NDArray

from models.metrics import Confusion, scores

BINS = 512


def change_vector(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Change-vector analysis (Malila 1980): length of the difference over standardised bands.
    From (C, H, W) twice to (H, W)."""
    return np.sqrt(((a - b) ** 2).mean(axis=0))


def bareness(image: NDArray[np.float32], red: int, nir: int) -> NDArray[np.float32]:
    """1 - NDVI, over bands in reflectance (or any one unit): (C, H, W) to (H, W) in 0..2."""
    total = image[nir] + image[red]
    return 1 - np.divide(image[nir] - image[red], total, out=np.zeros_like(total), where=total > 0)


class BestThreshold:
    """Gathers a measure of two classes and finds the threshold of highest F1."""

    def __init__(self, highest: float) -> None:
        self.highest = highest
        self.counts = np.zeros((2, BINS), np.int64)

    def add(self, measure: NDArray[np.float32], true: NDArray[np.uint8]) -> None:
        """Count pixels of `measure` by their truth; 255 is left out."""
        place = np.clip(measure / self.highest * BINS, 0, BINS - 1).astype(np.int64)
        for value in (0, 1):
            self.counts[value] += np.bincount(place[true == value].ravel(), minlength=BINS)

    def best(self) -> tuple[float, Confusion]:
        """The threshold at and above which a pixel is positive, and the counts there."""
        above = self.counts[:, ::-1].cumsum(axis=1)[:, ::-1]
        fp, tp = above
        negatives, positives = self.counts.sum(axis=1)
        f1 = 2 * tp / np.maximum(tp + fp + positives, 1)
        k = int(f1.argmax())
        counts = Confusion(int(tp[k]), int(fp[k]), int(positives - tp[k]), int(negatives - fp[k]))
        return k * self.highest / BINS, counts


def all_background(counts: Confusion) -> dict[str, float]:
    """Scores of never predicting anything, on the pixels that `counts` are of."""
    return scores(Confusion(0, 0, counts.tp + counts.fn, counts.tn + counts.fp))

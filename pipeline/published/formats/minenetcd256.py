"""MineNetCD256 (Yu et al. 2024) as published: pairs of 256 x 256 tiles in RGB and a change label.

Folders or Parquet, see `pipeline.published.formats.pair_files`. Tiles have no place, and their dates are
known by range only: before (2009 to 2018) and after (2018 to 2023).
"""

from datetime import date
from pathlib import Path

from pipeline.published.formats.layout import Dated, Facts
from pipeline.published.formats.tile_pairs import TilePairs

SPANS = {
    "before": (date(2009, 1, 1), date(2018, 12, 31)),
    "after": (date(2018, 1, 1), date(2023, 12, 31)),
}
CITATION = (
    "Yu, W., Zhang, X., Gloaguen, R., Zhu, X. X., Ghamisi, P. (2024): MineNetCD: A Benchmark for Global "
    "Mining Change Detection on Remote Sensing Imagery. IEEE Transactions on Geoscience and Remote Sensing."
)


class MineNetCD256(TilePairs):
    """See `pipeline.published.formats.layout.Layout`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder, {name: Dated(name, *span, dated_by="published range") for name, span in SPANS.items()}
        )

    def facts(self) -> Facts:
        return Facts(
            title="MineNetCD256, as published",
            sensor={"bands": ["R", "G", "B"], "rgb": ["R", "G", "B"], "resolution": 1.2, "dtype": "uint8"},
            periods={"spans": {name: [str(day) for day in span] for name, span in SPANS.items()}},
            tiling={"size": self.side, "edge": "drop", "pad": False},
            labels={
                "source": "import",
                "kind": "change",
                "meaning": "Change of mining areas between two images.",
            },
            pairs="first_last",
            citation=CITATION,
            left_out=tuple(self.pairs.left_out),
            notes=tuple(self.pairs.notes),
        )

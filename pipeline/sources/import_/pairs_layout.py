"""What a reader of the layout `folders` gives beside any layout's: what only its files tell."""

from typing import Protocol

from pipeline.sources.import_.layouts import Layout


class PairsLayout(Layout, Protocol):
    """See `pipeline.sources.import_.layouts.Layout`."""

    def resolution(self) -> float | None:
        """The pixel, metres, where the files say it."""
        ...

    def threshold_of_masks(self) -> int:
        """The largest number of a mask that means no change."""
        ...

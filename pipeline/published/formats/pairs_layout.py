"""What a reader of the layout `folders` gives beside any layout's: what only its files tell."""

from typing import Protocol

from pipeline.published.formats.layout import Layout


class PairsLayout(Layout, Protocol):
    """See `pipeline.published.formats.layout.Layout`."""

    def resolution(self) -> float | None:
        """The pixel, metres, where the files say it."""
        ...

    def threshold_of_masks(self) -> int:
        """The largest number of a mask that means no change."""
        ...

"""What a run is called, such as `unet`, `bit@levir`, `unet@sites-5-hmm` or `unet@kfold-0`.

    MODEL[@LABEL | @sites-N][-hmm | -hmm-change][@SCHEME-FOLD]

A fold is told from a label by the names of its schemes.
"""

import re
from dataclasses import dataclass, replace

SMOOTHED = {"hmm-change": "change", "hmm": "segmentation"}
"""How a footprint run's series are smoothed (`models.smoothing`), by the task that comes of it: `unet-hmm`
gives footprints, `unet-hmm-change` change between any two dates."""
SITES, FOLD = re.compile(r"sites-(\d+)"), re.compile(r"(kfold|country)-(.+)")


@dataclass(frozen=True)
class RunName:
    """A run's name in its parts; `str` puts them together, `parse` takes them apart."""

    model: str
    """As in `models.registry`."""
    label: str | None = None
    """What tells several runs of a model apart."""
    sites: int | None = None
    """How many labelled sites it learns from, where not from all."""
    smoothing: str | None = None
    """A key of SMOOTHED, for a run that smooths another over time."""
    fold: str | None = None
    """Another split by site, such as "kfold/0" or "country/DEU"."""

    @classmethod
    def parse(cls, name: str) -> "RunName":
        """Return the parts of a name."""
        rest, _, last = name.rpartition("@")
        fold = FOLD.fullmatch(last)
        run = rest if rest and fold else name
        smoothing = next((word for word in SMOOTHED if run.endswith(f"-{word}")), None)
        model, _, label = (run.removesuffix(f"-{smoothing}") if smoothing else run).partition("@")
        sites = SITES.fullmatch(label)
        return cls(
            model=model,
            label=None if sites else label or None,
            sites=int(sites[1]) if sites else None,
            smoothing=smoothing,
            fold=f"{fold[1]}/{fold[2]}" if rest and fold else None,
        )

    def __str__(self) -> str:
        label = f"sites-{self.sites}" if self.sites is not None else self.label
        return "".join([
            self.model,
            f"@{label}" if label else "",
            f"-{self.smoothing}" if self.smoothing else "",
            f"@{self.fold.replace('/', '-')}" if self.fold else "",
        ])  # fmt: skip

    @property
    def trained(self) -> "RunName":
        """The run whose weights it has: the one that a smoothed run is of, any other itself."""
        return replace(self, smoothing=None)

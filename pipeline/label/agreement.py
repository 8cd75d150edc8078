"""How well annotators agree who labelled the same dates, and one label of several.

    annotations/layers/<annotator>/<site>.gpkg     an annotator's own (`minebench label --layer NAME`)
    index/annotators.parquet                       two annotators on a date, a row each

A date counts where both have labelled it; pixels are those of the AOI.
"""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from minebench import __version__, tables
from minebench.errors import InputError, NotMadeYet
from minebench.layout import BenchmarkPaths
from minebench.masks import UNKNOWN
from minebench.metrics.confusion import confusion, scores
from minebench.progress import progress
from pipeline.cubes import annotate
from pipeline.index.annotators import ROW, TABLE
from pipeline.label import annotation_file
from pipeline.label.session import subjects_of
from pipeline.recipe import Recipe
from pipeline.sites import site as sites
from pipeline.sites.site import Site

LAYERS = "layers"
MAJORITY = "majority"
Masks = dict[str, NDArray[np.uint8]]


def folder(benchmark: BenchmarkPaths, annotator: str) -> Path:
    """Where an annotator's own labels lie. InputError for a name that is no folder's."""
    if (
        not annotator
        or annotator != Path(annotator).name
        or annotator.startswith(".")
        or annotator == MAJORITY
    ):
        raise InputError(f"'{annotator}' cannot be an annotator's name: use letters and digits.")
    return benchmark.annotations / LAYERS / annotator


def build(benchmark: BenchmarkPaths, recipe: Recipe) -> pd.DataFrame:
    """Compare all layers, site by site, and write the table. NotMadeYet where fewer than two have a site in
    common."""
    rows: list[tuple[Any, ...]] = []
    for site, layers in _labelled(benchmark, recipe):
        aoi = site.aoi()
        for (one, own), (other, theirs) in combinations(sorted(layers.items()), 2):
            for subject in own:
                if subject in theirs:
                    rows.append(
                        (site.site_id, subject, one, other, *compared(own[subject], theirs[subject], aoi))
                    )
    if not rows:
        raise NotMadeYet(
            f"No date in {benchmark.annotations / LAYERS} has labels of two annotators: label with "
            "`minebench label --layer NAME` first."
        )
    table = pd.DataFrame(rows, columns=list(ROW)).astype(ROW)
    tables.write(table, benchmark.table(TABLE))
    return table


def compared(
    one: NDArray[np.uint8], other: NDArray[np.uint8], aoi: NDArray[np.bool_]
) -> tuple[float, float, float, int, int]:
    """IoU, kappa, distance of the outlines, and the sizes of two masks (y, x) within the AOI."""
    a, b = (one == 1) & aoi, (other == 1) & aoi
    found = scores(confusion(a, np.where(aoi, b, UNKNOWN).astype(np.uint8)))
    return found["iou"], found["kappa"], boundary_distance(a, b), int(a.sum()), int(b.sum())


def boundary_distance(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """The mean distance, pixels, from each pixel on the edge of a mask (y, x) to the nearest on the other's,
    over both edges; NaN where a mask is empty."""
    edges = [mask & ~binary_erosion(mask) for mask in (one, other)]
    if not edges[0].any() or not edges[1].any():
        return float("nan")
    away = [distance_transform_edt(~edge) for edge in edges]
    return float(np.concatenate([away[1][edges[0]], away[0][edges[1]]]).mean())


def consensus(benchmark: BenchmarkPaths, recipe: Recipe, rule: str) -> int:
    """Write each site's annotations as more than half of its annotators have them (`majority`), or as one
    annotator does. Returns how many sites. InputError where a site is labelled by itself already."""
    if rule != MAJORITY and not folder(benchmark, rule).is_dir():
        known = ", ".join(sorted(path.name for path in (benchmark.annotations / LAYERS).glob("*"))) or "none"
        raise InputError(f"There is no layer of '{rule}'; layers: {known}, or majority of them.")
    which = "*" if rule == MAJORITY else rule
    for path in _files(benchmark, which):
        _check_made_here(benchmark.annotations / path.name)
    made = 0
    for site, layers in _labelled(benchmark, recipe, which):
        _write(benchmark, recipe, site, layers)
        made += 1
    return made


def _check_made_here(path: Path) -> None:
    """InputError for annotations that `agree` did not write: nobody's own labels are overwritten."""
    if not path.is_file():
        return
    table = annotate.read_table(path)
    if "how" not in table or not table["how"].astype("str").str.startswith("consensus of ").all():
        raise InputError(
            f"{path} was not made by `agree`: move it away, or into {LAYERS}/ as somebody's layer."
        )


def _write(benchmark: BenchmarkPaths, recipe: Recipe, site: Site, chosen: dict[str, Masks]) -> None:
    how, rows = f"consensus of {', '.join(sorted(chosen))}", []
    for subject in dict.fromkeys(name for own in chosen.values() for name in own):
        votes = np.stack([own[subject] == 1 for own in chosen.values() if subject in own])
        mask = votes.sum(axis=0) * 2 > len(votes)
        rows.append({
            "site_id": site.site_id,
            **annotation_file.when(subject, recipe.labels.column),
            "how": how, "by": ", ".join(sorted(chosen)), "software": f"minebench {__version__}",
            "geometry": annotation_file.outline(site, mask) if mask.any() else None,
        })  # fmt: skip
    annotation_file.write(benchmark.annotations / f"{site.site_id}.gpkg", site, rows)


def _files(benchmark: BenchmarkPaths, annotator: str = "*") -> list[Path]:
    return sorted((benchmark.annotations / LAYERS).glob(f"{annotator}/[!.]*.gpkg"))


def _labelled(
    benchmark: BenchmarkPaths, recipe: Recipe, annotator: str = "*"
) -> Iterator[tuple[Site, dict[str, Masks]]]:
    """Each site that somebody has a layer of, with the masks of the dates that each has labelled."""
    files: dict[str, list[Path]] = {}
    for path in _files(benchmark, annotator):
        files.setdefault(path.stem, []).append(path)
    listed = [site for site in sites.load(benchmark, recipe) if site.site_id in files]
    with progress("agree", len(listed), "sites") as advance:
        for site in listed:
            names = subjects_of(benchmark.cube(site.site_id), recipe)
            yield site, {path.parent.name: _masks(path, site, recipe, names) for path in files[site.site_id]}
            advance()


def _masks(path: Path, site: Site, recipe: Recipe, names: list[str]) -> Masks:
    found = annotate.masks_in(annotate.read_file(path, recipe), site, recipe, names)
    return {subject: mask for subject, mask in found.items() if (mask != UNKNOWN).any()}

"""Read a benchmark's tables, cubes, datasets and runs from a folder or an address."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from minebench.errors import InputError, NotMadeYet, UnknownName, WorkError

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr

    from minebench.data.datasets import Pairs, Series

RELEASE, SUMS = "RELEASE.json", "SHA256SUMS"
"""Files of a published folder: the benchmark's name, and the checksums of all other files."""


def locate(location: str, name: str | None = None) -> Benchmark:
    """Return the benchmark at a folder or an address; see `minebench.open`."""
    place = location.rstrip("/")
    if is_address(place):
        return Benchmark(f"{place}/data/{name or _published_name(place)}", published=place)
    folder = Path(place)
    if (folder / "index").is_dir() or (folder / "cubes").is_dir():
        # Its last part is the name, also for "."; `resolve` would follow a link and give another name.
        return Benchmark(os.path.abspath(place))  # noqa: PTH100
    inside = sorted(path.parent.name for path in folder.glob("data/*/index"))
    if name is None and len(inside) == 1:
        name = inside[0]
    if name in inside:
        published = place if (folder / SUMS).is_file() else None
        return Benchmark(str(folder / "data" / str(name)), published)
    choices = f"it holds {', '.join(inside)}: give the name of one" if inside else "give data/<name>"
    raise InputError(f"{location} is not a benchmark's folder; {choices}.")


def is_address(place: str) -> bool:
    """Return whether a place is an address (`https://...`, `s3://...`) and not a folder."""
    return "://" in place


def _published_name(address: str) -> str:
    try:
        return str(json.loads(_content(f"{address}/{RELEASE}"))["benchmark"])
    except (FileNotFoundError, ValueError, KeyError):
        raise InputError(
            f"{address} has no {RELEASE}: give the address of a folder that `minebench publish` wrote."
        ) from None


def _content(path: str) -> bytes:
    """Return the bytes of a local or remote file.

    FileNotFoundError if there is none, WorkError if its server cannot be reached or refuses.
    """
    if not is_address(path):
        return Path(path).read_bytes()
    import fsspec

    try:
        with fsspec.open(path) as file:
            return bytes(file.read())
    except Exception as error:  # of whichever library fsspec asks for this kind of address
        # To fsspec a server that cannot be reached is a missing file, too; what happened is its cause.
        reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
        if isinstance(reason, FileNotFoundError):
            raise
        raise WorkError(f"{path} cannot be read ({type(reason).__name__}: {reason}).") from None


class Benchmark:
    """A benchmark's tables, cubes, datasets and runs. Open one with `minebench.open`.

    Tables are read on first access. Those with a geometry (`sites`, `tiles`) are GeoDataFrames in EPSG:4326
    if GeoPandas is installed, else DataFrames whose `geometry` is WKB. The documentation's page on tables
    describes their columns.

    Attributes
    ----------
    name : str
        Its name, such as ``demo``.
    location : str
        The folder or address of its data.
    """

    def __init__(self, location: str, published: str | None = None) -> None:
        self.location, self.name = location, location.rpartition("/")[2]
        self._published = published

    def __repr__(self) -> str:
        return f"<minebench.Benchmark {self.name!r} at {self.location}>"

    def table(self, name: str) -> pd.DataFrame | gpd.GeoDataFrame:
        """Return a table of the benchmark's index by name, such as ``folds`` or ``statistics/by_period``.

        Raises
        ------
        NotMadeYet
            If there is no such table; it is a `FileNotFoundError` as well.

        Examples
        --------
        >>> benchmark.table("folds").columns.tolist()
        ['scheme', 'fold', 'site_id', 'split']
        """
        path = f"{self.location}/index/{name}.parquet"
        try:
            content = io.BytesIO(_content(path))
        except FileNotFoundError:
            raise NotMadeYet(f"{path} is missing: is there a table '{name}', and was it made?") from None
        return _frame(content)

    @cached_property
    def sites(self) -> pd.DataFrame | gpd.GeoDataFrame:
        """One row per site: name, country, commodities, area in km², grid; `geometry` is its footprint."""
        return self.table("sites")

    @cached_property
    def scenes(self) -> pd.DataFrame:
        """One row per candidate scene: date, cloud, clear share, shift, whether it was selected and why."""
        return self.table("scenes")

    @cached_property
    def periods(self) -> pd.DataFrame:
        """One row per site and period: numbers of scenes and days, clear share, whether it has an image."""
        return self.table("composites")

    @cached_property
    def tiles(self) -> pd.DataFrame | gpd.GeoDataFrame:
        """One row per tile: its site, split and window (`y0`, `x0`, `height`, `width` in pixels)."""
        return self.table("tiles")

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row per tile and pair of periods: `t1`, `t2`, and counts of changed and unknown pixels."""
        return self.table("pairs")

    def cube(self, site_id: str) -> xr.Dataset:
        """Return a site's images and masks over all periods.

        Parameters
        ----------
        site_id
            Id of the site, from the table `sites`.

        Returns
        -------
        xarray.Dataset
            Pixels (time, band, y, x) as `reflectance` (float, 0 to 1, NaN without a clear observation),
            `image` (uint8; no data where it is 0 in all bands and `clear` is 0) or `embedding` (int8);
            `clear` and `mine` (time, y, x), `aoi` (y, x); the CRS in `spatial_ref`. Arrays are lazy; use
            `.chunk()` for Dask.

        Raises
        ------
        UnknownName
            If there is no such site; it is a `ValueError` as well.
        NotMadeYet
            If the site has no cube; it is a `FileNotFoundError` as well.

        Examples
        --------
        >>> cube = benchmark.cube(benchmark.sites.site_id[0])
        >>> cube.mine.dims
        ('time', 'y', 'x')
        """
        import xarray as xr

        site_ids = self.sites.site_id
        if site_id not in set(site_ids):
            raise UnknownName(f"{self.name} has no site '{site_id}'; it has {_some(site_ids)}.")
        path = f"{self.location}/cubes/{site_id}.zarr"
        try:
            return xr.open_zarr(path, chunks=None, decode_coords="all")
        except FileNotFoundError:
            raise NotMadeYet(f"{path} is missing: run `minebench compose` first.") from None

    def dataset(
        self,
        task: str = "pairs",
        split: str = "train",
        *,
        bands: Sequence[str] | None = None,
        **choice: Any,
    ) -> Pairs | Series:
        """Return a split as a torch Dataset.

        Parameters
        ----------
        task
            ``pairs`` (items `a`, `b` (C, H, W) float32, standardised, and `label` (H, W) uint8, 0 unchanged,
            1 changed, 255 unknown) or ``series`` (items `images` (T, C, H, W) and `masks` (T, H, W)).
        split
            ``train``, ``val`` or ``test``.
        bands
            Names of the bands in the order of the channels; default: all bands.
        **choice
            `neighbours`, `fold`, `analysis`, `level`, `sites`, `seed`, `scale`: see `minebench.data.open`.

        Returns
        -------
        torch.utils.data.Dataset
            With `bands`, `mean` and `std` (per band, in stored numbers) and `table` (one row per item).

        Raises
        ------
        InputError
            If the benchmark is remote: pixels for training are read from disk.
        UnknownName
            If there is no such task, split, band or fold.

        Examples
        --------
        >>> pairs = benchmark.dataset("pairs", split="train", bands=["B04", "B03", "B02"])
        >>> pairs.bands
        ['B04', 'B03', 'B02']
        """
        if is_address(self.location):
            raise InputError(
                f"{self.location} is on the web, and datasets read from a disk: download the folder, then "
                "open it there."
            )
        from minebench.data import opening

        return opening.open(self.location, task, split, bands=bands, **choice)

    @property
    def runs(self) -> Runs:
        """The models that were trained or evaluated on the benchmark, by name.

        Examples
        --------
        >>> sorted(benchmark.runs)
        ['cva', 'fc-siam-diff', 'unet']
        >>> benchmark.runs["unet"].metrics["task"]
        'segmentation'
        """
        return Runs(self)


class Runs(Mapping[str, "Run"]):
    """The runs of a benchmark by name, such as ``unet`` or ``unet@sites-5``."""

    def __init__(self, benchmark: Benchmark) -> None:
        self.benchmark = benchmark

    @cached_property
    def names(self) -> list[str]:
        """Names of the runs that have weights, scores or predictions, sorted."""
        folders = ("runs", "predictions")
        location, published = self.benchmark.location, self.benchmark._published
        if not is_address(location):
            paths = [path for folder in folders for path in Path(location, folder).glob("*/")]
            return sorted({path.name for path in paths if path.is_dir()})
        lines = _content(f"{published}/{SUMS}").decode().splitlines()
        files = [line.split(maxsplit=1)[1].split("/") for line in lines]
        return sorted({parts[3] for parts in files if parts[2:3] and parts[2] in folders and len(parts) > 4})

    def __getitem__(self, name: str) -> Run:
        if name not in self.names:
            raise UnknownRun(f"{self.benchmark.name} has no run '{name}'; it has {_some(self.names)}.")
        return Run(self.benchmark, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"<minebench runs of {self.benchmark.name}: {', '.join(self.names) or 'none'}>"


class UnknownRun(UnknownName, KeyError):
    """No run of this name; a `KeyError` as well, because runs are a mapping."""

    __str__ = Exception.__str__


class Run:
    """One model's run on a benchmark: its metrics and predictions."""

    def __init__(self, benchmark: Benchmark, name: str) -> None:
        self.benchmark, self.name = benchmark, name

    def __repr__(self) -> str:
        return f"<minebench.Run {self.name!r} of {self.benchmark.name}>"

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The scores on the test split by name (`f1`, `iou`, `precision`, ...; shares from 0 to 1).

        Raises
        ------
        NotMadeYet
            If the run was not evaluated; it is a `FileNotFoundError` as well.
        """
        path = f"{self.benchmark.location}/runs/{self.name}/metrics.json"
        try:
            return dict(json.loads(_content(path)))
        except FileNotFoundError:
            raise NotMadeYet(f"{path} is missing: run `minebench evaluate --model {self.name}`.") from None

    def predictions(self, site_id: str) -> xr.DataArray:
        """Return the run's predictions for a site.

        Parameters
        ----------
        site_id
            Id of the site, from the benchmark's table `sites`.

        Returns
        -------
        xarray.DataArray
            Probability (period, y, x) float32 from 0 to 1, NaN without a clear observation; `period` is
            ``2020`` for footprints and ``2019_2020`` for change; the CRS in `spatial_ref`.

        Raises
        ------
        NotMadeYet
            If the run was not applied to the site; it is a `FileNotFoundError` as well.
        """
        from minebench import predictions

        folder = f"{self.benchmark.location}/predictions/{self.name}"
        try:
            return predictions.read(folder, site_id, _content)
        except FileNotFoundError:
            raise NotMadeYet(
                f"{folder} has nothing of {site_id}: run `minebench predict --model {self.name}` first."
            ) from None


def _frame(content: io.BytesIO) -> pd.DataFrame | gpd.GeoDataFrame:
    """Return a Parquet file as a table, a GeoDataFrame if it has geometry and GeoPandas is installed."""
    import pyarrow.parquet as pq

    if b"geo" in (pq.read_schema(content).metadata or {}) and find_spec("geopandas"):
        import geopandas as gpd

        return gpd.read_parquet(content)
    return pd.read_parquet(content)


def _some(names: Sequence[str] | pd.Series[str]) -> str:
    """Return the first five names as text, "none" if there are none."""
    shown = [str(name) for name in names[:5]]
    return ", ".join([*shown, *(["..."] if len(names) > 5 else [])]) or "none"

"""Writing a site's cube, and reading its images again; the form is that of `minebench.cube.store`."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from odc.geo.xr import xr_coords
from zarr.codecs import BloscCodec, ShardingCodecIndexLocation
from zarr.core.array import ShardsConfigParam

from minebench import __version__, receipts
from minebench.cube import encoding as signed
from minebench.cube.store import attributes_of
from minebench.files import replacing, write_json
from minebench.periods import Period
from pipeline.cubes.cube import array_of, chunk_side, image_name
from pipeline.recipe import Recipe
from pipeline.sites.site import Site

WORK = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle")


@dataclass(frozen=True)
class Image:
    """One period's image (band, y, x), its clear count (y, x), the scenes behind it and their days,
    none where only a range is known."""

    period: Period
    pixels: NDArray[Any]
    clear: NDArray[np.uint8]
    scenes: list[str] = field(default_factory=list)
    days: list[str] = field(default_factory=list)


def write(
    path: Path, site: Site, recipe: Recipe, images: list[Image], aoi: NDArray[np.bool_], key: str,
    rows: list[dict[str, Any]],
) -> None:  # fmt: skip
    """Write a site's cube, whole or not at all. `rows` are its lines of `composites`."""
    attributes: dict[str, Any] = {
        "title": f"{recipe.title}: {site.label}",
        "site_id": site.site_id,
        "source": recipe.source.name,
        "Conventions": "CF-1.11",
        "minebench:version": __version__,
        receipts.KEY: key,
        "minebench:composites": rows,
        "periods": [image.period.label for image in images],
        "scenes": {image.period.label: image.scenes for image in images},
        "acquired": {image.period.label: image.days for image in images},
    }
    with replacing(path) as temporary:
        if images:
            cube = _dataset(site, recipe, images, aoi, attributes)
            cube.to_zarr(
                temporary,
                mode="w",
                zarr_format=3,
                consolidated=False,
                encoding=_encoding(cube, recipe),
            )
        else:
            zarr.open_group(temporary, mode="w", zarr_format=3, attributes=attributes)
        _consolidate(temporary)


def images_of(path: Path, recipe: Recipe) -> dict[str, Image]:
    """The images that a cube holds, by their key in `composites`. Empty where there is no sound cube, or
    one of other bands."""
    attributes = attributes_of(path)
    keys = {row["period"]: row["images"] for row in attributes.get("minebench:composites", [])}
    known = {period.label: period for period in recipe.periods.periods()}
    try:
        group = zarr.open_group(path, mode="r")
        pixels, clear = array_of(group, image_name(recipe)), array_of(group, "clear")
        return {
            keys[label]: Image(
                known[label], signed.raised(np.asarray(pixels[i])), np.asarray(clear[i]),
                attributes["scenes"][label], attributes["acquired"][label],
            )
            for i, label in enumerate(attributes["periods"])
            if label in known and label in keys
        }  # fmt: skip
    except (OSError, ValueError, KeyError, IndexError):
        return {}


def add_mask(path: Path, masks: NDArray[np.uint8], attributes: dict[str, Any], chunk: int) -> None:
    """Put `mine` (time, y, x) into a cube, in place of the one there."""
    meanings = {"long_name": "mine footprint", "flag_meanings": "background mine unknown"}
    _add(path, "mine", masks, ("time", "y", "x"), {**meanings, **attributes}, chunk)


def add_change(path: Path, change: dict[tuple[str, str], NDArray[np.uint8]], chunk: int) -> None:
    """Put `change` (pair, y, x) into a cube, in place of the one there."""
    attributes = {
        "long_name": "change between two periods",
        "flag_meanings": "unchanged changed unknown",
        "pairs": [list(pair) for pair in change],
    }
    _add(path, "change", np.stack(list(change.values())), ("pair", "y", "x"), attributes, chunk)


def _add(
    path: Path, name: str, masks: NDArray[np.uint8], dims: tuple[str, ...], attributes: dict[str, Any],
    chunk: int,
) -> None:  # fmt: skip
    with replacing(path / name) as temporary:
        array = zarr.create_array(
            temporary,
            shape=masks.shape,
            dtype="uint8",
            chunks=(1, chunk, chunk),
            shards=_shard(masks.shape, (1, chunk, chunk)),
            compressors=WORK,
            dimension_names=dims,
            attributes={
                "flag_values": [0, 1, 255],
                "grid_mapping": "spatial_ref",
                "coordinates": "spatial_ref",
                **attributes,
            },
            zarr_format=3,
        )
        array[:] = masks
    _consolidate(path)


def _consolidate(path: Path) -> None:
    """Copy the arrays' metadata into the group's, so that opening the cube reads one file. Written
    here rather than by zarr because zarr does not replace the file in one step."""
    group = json.loads((path / "zarr.json").read_text())
    arrays = {part.parent.name: json.loads(part.read_text()) for part in sorted(path.glob("*/zarr.json"))}
    group["consolidated_metadata"] = {
        "kind": "inline",
        "must_understand": False,
        "metadata": arrays,
    }
    write_json(group, path / "zarr.json")


def _dataset(
    site: Site,
    recipe: Recipe,
    images: list[Image],
    aoi: NDArray[np.bool_],
    attributes: dict[str, Any],
) -> xr.Dataset:
    box = site.grid
    name, attributes_of_pixels = image_name(recipe), recipe.sensor.encoding.attributes
    coords = {
        **xr_coords(box, always_yx=True),
        "time": np.array([image.period.start for image in images], "datetime64[ns]"),
        "band": np.array(recipe.sensor.bands, dtype=object),
    }
    pixels = signed.stored(np.stack([image.pixels for image in images]), recipe.sensor.dtype)
    cube = xr.Dataset(
        {
            name: (("time", "band", "y", "x"), pixels),
            "clear": (("time", "y", "x"), np.stack([image.clear for image in images])),
            "aoi": (("y", "x"), aoi.astype(np.uint8)),
        },
        coords=coords,
        attrs=attributes,
    )
    if box.crs is None:  # tiles that came without a place
        cube = cube.drop_vars("spatial_ref", errors="ignore")
    cube["time"].attrs = {"long_name": "start of period", "standard_name": "time"}
    # Not only as a coordinate: readers such as tensorstore and zarrs know no arrays of text.
    cube[name].attrs.update(attributes_of_pixels, bands=list(recipe.sensor.bands))
    cube["clear"].attrs["long_name"] = "clear observations behind the pixel, 0 none"
    cube["aoi"].attrs.update(flag_values=[0, 1], flag_meanings="outside inside")
    return cube


def _encoding(cube: xr.Dataset, recipe: Recipe) -> dict[str, Any]:
    side = chunk_side(recipe)
    encoding: dict[str, Any] = {"time": {"units": "days since 1970-01-01", "dtype": "int64"}}
    for name, array in cube.data_vars.items():
        chunks = tuple({"time": 1, "band": array.sizes.get("band", 1)}.get(str(d), side) for d in array.dims)
        encoding[str(name)] = {
            "chunks": chunks,
            "shards": _shard(array.shape, chunks),
            "compressors": (WORK,),
            **({"grid_mapping": "spatial_ref"} if "spatial_ref" in cube.coords else {}),
        }
    if recipe.sensor.encoding.nodata is not None:
        encoding[image_name(recipe)]["_FillValue"] = recipe.sensor.encoding.nodata
    if recipe.sensor.encoding.scale is not None:
        cube[image_name(recipe)].attrs["scale_factor"] = recipe.sensor.encoding.scale
    return encoding


def _shard(shape: tuple[int, ...], chunks: tuple[int, ...]) -> ShardsConfigParam:
    """The whole array, rounded up to whole chunks: one file an array. Its index stands first, because some
    web servers know no range that is counted from a file's end."""
    whole = tuple(-(-size // chunk) * chunk for size, chunk in zip(shape, chunks, strict=True))
    return {"shape": whole, "index_location": ShardingCodecIndexLocation.start}

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.abc.store import SuffixByteRequest
from zarr.codecs import BloscCodec
from zarr.storage import LocalStore, WrapperStore

from minebench.cube.shards import Shard


def make(path: Path, array: np.ndarray, chunk: int, fill: int = 0, index: str = "start") -> zarr.Array:
    chunks = (1, *array.shape[1:-2], chunk, chunk)
    shards = tuple(-(-size // side) * side for size, side in zip(array.shape, chunks, strict=True))
    made = zarr.create_array(
        path, shape=array.shape, dtype=array.dtype, chunks=chunks, fill_value=fill,
        shards={"shape": shards, "index_location": index},
        compressors=BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), zarr_format=3,
    )  # fmt: skip
    made[:] = array
    return made


@pytest.fixture(scope="module", params=["start", "end"])
def stored(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Shard, np.ndarray]:
    rng = np.random.default_rng(0)
    array = rng.integers(0, 9000, (3, 4, 70, 53)).astype(np.uint16)
    array[1] = 0  # chunks of nothing but the fill value are not stored
    path = tmp_path_factory.mktemp("shards") / "a"
    make(path, array, 32, index=request.param)
    return Shard(path), array


@settings(deadline=None)
@given(st.data())
def test_any_window_is_what_zarr_holds(stored: tuple[Shard, np.ndarray], data: st.DataObject) -> None:
    shard, array = stored
    date = data.draw(st.integers(0, 2))
    y, x = (data.draw(st.integers(0, size - 1)) for size in array.shape[-2:])
    height = data.draw(st.integers(1, array.shape[-2] - y))
    width = data.draw(st.integers(1, array.shape[-1] - x))
    assert (shard.window(date, y, x, height, width) == array[date, :, y : y + height, x : x + width]).all()


def test_an_array_that_was_never_written_is_its_fill_value(tmp_path: Path) -> None:
    make(tmp_path / "a", np.full((2, 40, 40), 255, np.uint8), 32, fill=255)
    assert (Shard(tmp_path / "a").window(1, 3, 3, 20, 37) == 255).all()


def test_signed_bytes_are_held_with_0_as_nodata(tmp_path: Path) -> None:
    array = np.arange(-128, 128).astype(np.int8).reshape(1, 16, 16).repeat(2, axis=0)
    array[1] = -128  # not stored
    make(tmp_path / "a", array, 8, fill=-128)
    shard = Shard(tmp_path / "a")
    assert shard.dtype == np.uint8
    assert (shard.whole().astype(int) - 128 == array).all()
    assert (shard.window(1, 3, 3, 9, 9) == 0).all()


class PlainServer(WrapperStore[LocalStore]):
    """Files as a web server has them that knows no range counted from the end, such as npm's http-server."""

    async def get(self, key, prototype=None, byte_range=None):
        assert not isinstance(byte_range, SuffixByteRequest)
        return await super().get(key, prototype, byte_range)


def test_a_tile_is_read_over_a_server_without_ranges_from_the_end(built: Path) -> None:
    path = next((built / "data/tiny/cubes").glob("*.zarr"))
    group = zarr.open_group(PlainServer(LocalStore(path, read_only=True)), mode="r")
    for name in ("reflectance", "clear", "mine"):
        tile = np.asarray(group[name][1, ..., :64, :64])
        assert (tile == Shard(path / name).window(1, 0, 0, 64, 64)).all()


def test_another_form_is_refused(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", shape=(2, 8, 8), dtype="u1", chunks=(1, 4, 4), zarr_format=3)
    with pytest.raises((ValueError, KeyError)):
        Shard(tmp_path / "a")


def test_cubes_are_of_that_form(built: Path) -> None:
    cubes = list((built / "data/tiny/cubes").glob("*.zarr"))
    assert len(cubes) == 3
    for path in cubes:
        group = zarr.open_group(path, mode="r")
        for name in ("reflectance", "clear", "mine"):
            held = np.asarray(group[name][:])
            shard = Shard(path / name)
            assert len(held) == 3
            for date in range(len(held)):
                assert (shard.window(date, 0, 0, *held.shape[-2:]) == held[date]).all()
        assert json.loads((path / "zarr.json").read_text())["attributes"]["periods"]

"""What is said of the offset of baseline 04.00, in the words of public catalogues."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.sensors import boa_offset

BASELINE, APPLIED, PRODUCT = "s2:processing_baseline", "earthsearch:boa_offset_applied", "s2:product_uri"
WORDS = [
    # Properties, what raster:offset states, the offset, whether it is sure, the baseline.
    ({BASELINE: "02.14"}, None, 0, True, "02.14"),
    ({BASELINE: "04.00"}, None, 1000, True, "04.00"),
    ({BASELINE: "05.11"}, 1000, 1000, True, "05.11"),
    ({BASELINE: 5.11}, None, 1000, True, "05.11"),
    ({"processing:version": "05.11"}, 1000, 1000, True, "05.11"),
    ({"sentinel:processing_baseline": "04.00"}, None, 1000, True, "04.00"),
    ({PRODUCT: "S2B_MSIL2A_20250427T000609_N0511_R016_T01WCR.SAFE"}, None, 1000, True, "05.11"),
    ({"sentinel:product_id": "S2A_MSIL2A_20200714T115221_N0214_R123"}, None, 0, True, "02.14"),
    ({"s2:granule_id": "S2B_OPER_MSI_L2A_TL_ESRI_20201006T080533_T06VVN_N02.12"}, None, 0, True, "02.12"),
    # Flags are asked of pixels, but for products that never had an offset.
    ({BASELINE: "02.12", APPLIED: False}, 1000, 0, True, "02.12"),
    ({BASELINE: "05.00", APPLIED: True}, 1000, 0, False, "05.00"),
    ({BASELINE: "05.00", APPLIED: False}, 1000, 1000, False, "05.00"),
    ({BASELINE: "04.00", "sentinel:boa_offset_applied": "True"}, None, 0, False, "04.00"),
    # Words that contradict one another.
    ({BASELINE: "05.11"}, 0, 0, False, "05.11"),
    ({BASELINE: "02.14", PRODUCT: "S2B_MSIL2A_20220101T000000_N0510_R016.SAFE"}, None, 0, False, "02.14"),
    # No baseline.
    ({}, None, 0, False, ""),
    ({BASELINE: "n/a"}, None, 0, False, ""),
    ({"processing:version": "2.10.1"}, None, 0, False, ""),
    ({PRODUCT: "S2B_MSIL2A_20250427T000609_N9999_R016_T01WCR.SAFE"}, None, 0, False, ""),
    ({"processing:version": "sen2cor"}, 1000, 1000, False, ""),
    ({APPLIED: True}, 1000, 0, False, ""),
]


@pytest.mark.parametrize(("properties", "stated", "offset", "sure", "baseline"), WORDS)
def test_an_item_has_its_say(
    properties: dict[str, Any], stated: float | None, offset: int, sure: bool, baseline: str
) -> None:
    words = boa_offset.by_item(properties, stated)
    assert (words.offset, words.sure, words.baseline) == (offset, sure, baseline)
    assert words.evidence


def test_a_provider_that_delivers_esas_numbers_is_believed() -> None:
    flagged = {BASELINE: "05.11", APPLIED: True}
    words = boa_offset.by_provider(flagged, "Planetary Computer")
    assert (words.offset, words.sure) == (1000, True)
    assert words.evidence == "Planetary Computer, baseline 05.11"
    assert boa_offset.by_provider({BASELINE: "02.12"}, "Planetary Computer").offset == 0
    assert not boa_offset.by_provider({}, "Planetary Computer").sure


@pytest.mark.parametrize(
    ("fields", "offset"),
    [
        ({"raster:offset": -0.1, "raster:scale": 0.0001}, 1000),
        ({"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}, 1000),
        ({"bands": [{"raster:scale": 0.0001, "raster:offset": -0.1}]}, 1000),
        ({"raster:offset": 0, "raster:scale": 0.0001}, 0),
        ({"raster:bands": [{"scale": 0.0001}]}, None),
        ({"raster:bands": "none"}, None),
        ({}, None),
    ],
)
def test_offsets_that_assets_state(fields: dict[str, Any], offset: float | None) -> None:
    found = boa_offset.stated_offset(fields)
    assert found == (None if offset is None else pytest.approx(offset))


def test_real_items(shared: Path) -> None:
    found = {}
    for path in sorted((shared / "stac-items").glob("S2*.json")):
        item = json.loads(path.read_text())
        assets = [boa_offset.stated_offset(asset) for asset in item["assets"].values()]
        stated = next((offset for offset in assets if offset is not None), None)
        words = boa_offset.by_item(item["properties"], stated, [item["id"]])
        found[item["id"]] = (words.baseline, words.offset, words.sure)
    assert found == {
        "S2A_28QCH_20200714_0_L2A": ("02.14", 0, True),
        "S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531": ("02.12", 0, True),
        "S2B_T01WCR_20250427T000611_L2A": ("05.11", 1000, True),
    }


def test_reflectance_below_the_offset_becomes_the_smallest_number() -> None:
    pixels = np.array([0, 1, 900, 1000, 1001, 3000], np.uint16)
    assert boa_offset.without_offset(pixels.copy(), 1000).tolist() == [0, 1, 1, 1, 1, 2000]
    assert boa_offset.without_offset(pixels.copy(), 0).tolist() == pixels.tolist()

"""What band names mean."""

import pytest

from minebench.bands import NANOMETRES, meaning


@pytest.mark.parametrize(
    ("names", "colours"),
    [
        (["B02", "b2".upper() + "x", "blue", "Blue", "BLUE"], ["blue", None, "blue", "blue", "blue"]),
        (["NIR", "nir", "nir08", "nir1", "N"], ["nir", "nir", "nir08", "nir", "nir"]),
        (["red_edge1", "rededge1", "RedEdge", "red-edge 2", "RE3"],
         ["rededge1", "rededge1", "rededge1", "rededge2", "rededge3"]),
        (["swir16", "SWIR1", "swir22", "SWIR_2"], ["swir1", "swir1", "swir2", "swir2"]),
        (["coastal", "Coastal_Aerosol", "pan", "Panchromatic"], ["coastal", "coastal", "pan", "pan"]),
        (["b02", "B03", "B04", "B8A", "B11"], ["blue", "green", "red", "nir08", "swir1"]),
        (["B2", "B3", "B4", "B8A"], ["blue", "green", "red", "nir08"]),
        (["SR_B2", "SR_B4", "SR_B5", "SR_B6"], ["blue", "red", "nir08", "swir1"]),
        (["ndvi", "VV", "x"], [None, None, None]),
    ],
)  # fmt: skip
def test_names_are_known_in_any_case_and_form(names: list[str], colours: list[str | None]) -> None:
    found = meaning(names)
    assert list(found.colours) == colours
    assert not found.guess


@pytest.mark.parametrize(
    ("sensor", "colour"), [("sentinel-2-l2a", "red"), ("Sentinel-2-L1C", "red"), ("landsat-c2-l2", None)]
)
def test_a_number_means_what_it_means_on_the_sensor(sensor: str, colour: str | None) -> None:
    assert meaning(["B4", "B3"], sensor).colours[0] == colour
    assert not meaning(["B4", "B3"], sensor).guess


def test_a_number_of_an_unknown_sensor_is_a_guess_that_is_said_or_unknown() -> None:
    found = meaning(["B2", "B3", "B4", "B8"], "plain")
    assert found.colours == ("blue", "green", "red", "nir")
    assert found.guess == "B2, B3, B4, B8 read as Sentinel-2's, which is a guess"
    # Red edge on Sentinel-2, near infrared on Landsat 8: nobody can say.
    assert meaning(["B2", "B3", "B4", "B5"]).colours == (None,) * 4
    # Red on Landsat 8 and 9, near infrared on Landsat 4 to 7.
    assert meaning(["SR_B3", "SR_B4"]).colours == (None, None)
    # These may only count.
    assert meaning(["B1", "B2", "B3", "B4"]).colours == (None,) * 4


def test_every_colour_has_a_wavelength() -> None:
    from minebench import bands

    assert set(bands.COLOURS.values()) | {c for each in bands.SENSORS.values() for c in each.values()} <= set(
        NANOMETRES
    )

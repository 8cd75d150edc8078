"""Clouds, their shadows, cirrus, haze and snow over a window on a day."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.synthetic import noise
from pipeline.synthetic.noise import FloatImage, Window

# Of `fractal(window, 2600, seed, 5)`: over 60 windows of 3 km in each of four zones the mean was
# 0.47 to 0.50 and the standard deviation 0.130 to 0.136.
CLOUD_MEAN, CLOUD_STD = 0.5, 0.135


@dataclass(frozen=True)
class Sun:
    """Angles in degrees: zenith from above, azimuth clockwise from north."""

    zenith: float
    azimuth: float


@dataclass(frozen=True)
class Weather:
    """Opacity of each layer, 0..1 (height, width)."""

    cloud: FloatImage
    shadow: FloatImage
    cirrus: FloatImage
    snow: FloatImage
    haze: float
    """Strength over the whole window, 0..1."""


def sun(day_of_year: int, latitude: float, hour: float = 10.5) -> Sun:
    """Sun at local solar `hour`, from declination and hour angle."""
    declination = math.radians(-23.44 * math.cos(2 * math.pi * (day_of_year + 10) / 365.25))
    angle, lat = math.radians((hour - 12) * 15), math.radians(latitude)
    height = math.sin(lat) * math.sin(declination) + math.cos(lat) * math.cos(declination) * math.cos(angle)
    east = -math.cos(declination) * math.sin(angle)
    north = math.cos(lat) * math.sin(declination) - math.sin(lat) * math.cos(declination) * math.cos(angle)
    zenith = math.degrees(math.acos(max(-1.0, min(1.0, height))))
    return Sun(min(78.0, zenith), math.degrees(math.atan2(east, north)) % 360)


def weather(window: Window, pass_seed: int, day_of_year: int, latitude: float, light: Sun) -> Weather:
    """The weather of one overpass; `pass_seed` is shared by all granules of the pass."""
    kind, strength, thin, cold, hazy = (float(noise.uniform(pass_seed, what)) for what in range(5))
    threshold = _threshold(kind, strength)
    cloud = _cloud(window, pass_seed, threshold)
    # A shadow falls where the ray to the sun meets a cloud: look the cloud up over there.
    reach = (900 + 1600 * strength) * math.tan(math.radians(light.zenith))
    azimuth = math.radians(light.azimuth)
    sunward = window.moved(reach * math.sin(azimuth), reach * math.cos(azimuth))
    shadow = _cloud(sunward, pass_seed, threshold) * (1 - cloud)
    veil = noise.fractal(window, 9000, pass_seed + 40, 3)
    cirrus = np.clip((veil - 0.52) * 5, 0, 1) * (0.6 if thin > 0.72 else 0.0)
    return Weather(cloud, shadow, cirrus, _snow(window, pass_seed, day_of_year, latitude, cold), hazy**3)


def _threshold(kind: float, strength: float) -> float:
    """Level of the noise above which there is cloud: a third clear, a third broken, a third shut."""
    if kind < 0.36:
        deviations = 2.6 + strength
    elif kind < 0.7:
        deviations = 1.9 - 1.5 * strength
    else:
        deviations = 0.2 - 1.6 * strength
    return CLOUD_MEAN + deviations * CLOUD_STD


def _cloud(window: Window, pass_seed: int, threshold: float) -> FloatImage:
    field = noise.fractal(window, 2600, pass_seed + 20, 5)
    return np.clip((field - threshold) / 0.05, 0, 1)


def _snow(window: Window, pass_seed: int, day: int, latitude: float, cold: float) -> FloatImage:
    """Snow lies in patches in the cold half of the year, poleward of about 40 degrees."""
    northern = day if latitude >= 0 else day + 182.6
    winter = max(0.0, math.cos(2 * math.pi * (northern - 20) / 365.25))
    chance = winter * max(0.0, (abs(latitude) - 35) / 25)
    if cold >= chance:
        return np.zeros((len(window.y), len(window.x)), np.float32)
    return np.clip((noise.fractal(window, 800, pass_seed + 60, 3) - 0.45 + 0.3 * chance) * 8, 0, 1)

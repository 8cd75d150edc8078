"""All sensors by name."""

from pipeline.sensors import airborne, alphaearth, landsat, sentinel2
from pipeline.sensors.profile import Profile, Sensor

MODULES = (sentinel2, landsat, airborne, alphaearth)
PROFILES = {profile.name: profile for module in MODULES for profile in module.PROFILES}


def named(name: str) -> Profile:
    """A sensor's profile. ValueError names those there are."""
    if name not in PROFILES:
        raise ValueError(f"'{name}' is not a sensor; choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def unmasked(sensor: Sensor) -> Profile:
    """Images of which nothing more is known than their type."""
    return airborne.PLAIN_RGB if sensor.encoding.is_picture else airborne.PLAIN

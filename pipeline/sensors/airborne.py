"""Images without a mask: every pixel with data is clear."""

from pipeline.sensors.profile import Profile

LETTERS = {"R": "red", "G": "green", "B": "blue", "N": "nir"}
"""Bands of aerial images go by letters."""

NAIP = Profile(
    "naip", "NAIP, aerial images of the USA", dict.fromkeys("RGBN", 1.0), common=LETTERS, stretch=None
)
AERIAL = Profile("aerial-rgb", "Aerial images, red, green and blue", common=LETTERS, stretch=None)
PLAIN_RGB = Profile("rgb", "Pictures of any origin", common=LETTERS, stretch=None)
PLAIN = Profile("plain", "Numbers of any origin, without a mask", common=LETTERS)
PROFILES = (NAIP, AERIAL, PLAIN_RGB, PLAIN)

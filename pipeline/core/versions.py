"""Versions of a benchmark's releases, which are files catalogs/<b>/releases/<version>.parquet."""

from pathlib import Path

from packaging.version import InvalidVersion, Version

from minebench.errors import InputError


def parsed(version: str, where: str) -> Version:
    """Return a version that can be compared. InputError, whose text begins with `where`, if it is none."""
    try:
        return Version(version)
    except InvalidVersion:
        raise InputError(f"{where} {version} is not a version: give one such as 1.1.") from None


def last(releases: Path) -> str:
    """Return the highest version in a folder of releases; empty where there is none."""
    names = [file.stem for file in releases.glob("*.parquet")]
    return max(names, key=lambda name: parsed(name, f"{releases}/"), default="")

"""Fetch the images of this benchmark: data files of the Python package nrt, taken from its wheel."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "nrt==0.1.0"
IMAGES = Path(__file__).parent / "images"
MEMBERS = (
    (
        "nrt/data/sentinel2_cube_subset_romania_10m.nc",
        "10165376979ed20f988bef09bf79135ea415e741256ba50fd4fef679b1c1fa9d",
    ),
    (
        "nrt/data/tree_cover_density_2018_romania.tif",
        "9e3798baaa7f52e6b9b27bf7f0a81b321a45afa3c83f04dded8a608199f86201",
    ),
    ("nrt-0.1.0.dist-info/LICENSE", "469bc06528d42c7be84d1fdeb1396e709d3cfb3750c9d9e8a902dba8e87d51bf"),
)
"""Path in the wheel, and the file's SHA-256."""


def is_there(folder: Path) -> bool:
    """Return whether a folder has all files, undamaged."""
    files = [(folder / Path(member).name, digest) for member, digest in MEMBERS]
    return all(path.is_file() and _digest(path.read_bytes()) == digest for path, digest in files)


def unpack(wheel: Path, folder: Path) -> None:
    """Write the files of a wheel into a folder. ValueError where one is not the expected one."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for member, digest in MEMBERS:
            content = archive.read(member)
            if _digest(content) != digest:
                raise ValueError(f"{member} of {wheel.name} is not the file that this benchmark was made of.")
            (folder / Path(member).name).write_bytes(content)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    """Download the wheel with pip, from the index that pip is set up for, and keep the three files."""
    if is_there(IMAGES):
        print(f"{IMAGES} has the images")
        return
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, "--no-deps", "--dest", folder, PACKAGE]).returncode:
            names = ", ".join(member for member, _ in MEMBERS)
            sys.exit(f"pip could not download {PACKAGE}: unzip its wheel's {names} into {IMAGES} yourself.")
        unpack(next(Path(folder).glob("*.whl")), IMAGES)
    print(f"{IMAGES} has the images of {PACKAGE}")


if __name__ == "__main__":
    main()

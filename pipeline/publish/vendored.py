"""`make viewer`: the viewer's libraries from npm, as viewer/vendor/SOURCES.json names them, sums compared.

python -m pipeline.publish.vendored
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from pipeline.publish.contents import FOLDER

VENDOR = FOLDER / "vendor"


def main() -> None:
    sources = json.loads((VENDOR / "SOURCES.json").read_text())
    for name, source in sources.items():
        with tempfile.TemporaryDirectory() as folder:
            package = f"{name}@{source['version']}"
            subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True)
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
                for member, wanted in source["files"].items():
                    _take(archive, member, wanted, package)


def _take(archive: tarfile.TarFile, member: str, wanted: dict[str, str], package: str) -> None:
    file = archive.extractfile(member)
    content = file.read() if file else b""
    if hashlib.sha256(content).hexdigest() != wanted["sha256"]:
        sys.exit(f"{package}: {member} is not what SOURCES.json says; nothing of it was taken.")
    (VENDOR / wanted["file"]).write_bytes(content)


if __name__ == "__main__":
    main()

"""The command line as `tests.forks` runs it, with next to no wait between the tries of a request.

How often a request is tried, and what comes of it, is checked with whole commands; how long is waited between
two tries is checked in tests/pipeline/core/test_web.py.
"""

import subprocess
import sys
import time
from pathlib import Path

from tests import forks

NEEDED = ("pipeline.cli", "pipeline.scenes.fetch", "pipeline.scenes.selector", "pipeline.sources.stac.items",
          "pipeline.sources.earthengine.images", "pipeline.sources.xyz")  # fmt: skip
LONGEST_WAIT_S = 0.01


class HurriedForks(forks.Forks):
    """A process to fork from whose clients come back at once."""

    def _start(self) -> None:
        if self.server is None:
            self.server = subprocess.Popen([sys.executable, "-m", "tests.standins.hurried", self.address])
            while not Path(self.address).exists():
                assert self.server.poll() is None, "the process to fork from ended"
                time.sleep(0.02)


def main() -> None:
    """Fork for every connection at the address given as a word."""
    from pipeline.core import web

    web.LONGEST_WAIT_S = LONGEST_WAIT_S
    forks.PRELOADED = NEEDED
    forks.serve(sys.argv[1])


if __name__ == "__main__":
    main()

"""A benchmark on disk and how to read it: tables, cubes, datasets, scores. Stands alone."""

import os
from importlib.metadata import version

__version__ = version("minebench")

# Zarr decodes so many chunks at a time, not one by one: whole arrays are read 1.6 times as fast. Set here
# because Zarr reads it when it is imported, in a cluster's workers too.
os.environ.setdefault("ZARR_CODEC_PIPELINE__BATCH_SIZE", "64")

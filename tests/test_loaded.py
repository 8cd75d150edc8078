"""What a fresh process loads, and what it leaves alone."""

import subprocess
import sys


def test_models_need_no_geospatial_library() -> None:
    """Whatever of the pipeline's core they import. Nor PyTorch's compiler, which takes a second to load."""
    code = (
        "import sys, models.training.train, models.evaluation.evaluate, models.evaluation.ranking;"
        "import models.evaluation.sitewide, minebench.metrics.activity;"
        "heavy = {'rasterio', 'geopandas', 'shapely', 'xarray', 'pystac', 'pydantic', 'typer', 'odc'};"
        "heavy.add('torch._dynamo');"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_works_on_sites_does_not_load_pytorch() -> None:
    """Its OpenMP does not bear a fork once the command has computed with it (`predict --mines` has)."""
    steps = (
        "synthetic.make", "scenes.selector", "cubes.compose", "cubes.annotate", "index.tile",
        "index.statistics", "index.analysis_sets", "activity.measure_sites", "stac.collection",
        "publish.viewer_data",
    )  # fmt: skip
    code = f"import sys, {', '.join(f'pipeline.{step}' for step in steps)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

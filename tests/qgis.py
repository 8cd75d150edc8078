"""Real QGIS without a screen, by the Python that has it."""

import subprocess
from pathlib import Path

import pytest

PYTHON = "/usr/bin/python3"
OPENED = """
import sys
from qgis.core import QgsApplication, QgsMapRendererParallelJob, QgsMapSettings, QgsProject
from qgis.PyQt.QtCore import QSize
application = QgsApplication([], False)
application.initQgis()
project = QgsProject.instance()
assert project.read(sys.argv[1]), project.error()
layers = project.mapLayers().values()
broken = [layer.name() for layer in layers if not layer.isValid()]
assert not broken, broken
"""
DRAWN = """
shown = project.layerTreeRoot().checkedLayers()
settings = QgsMapSettings()
settings.setLayers(shown)
settings.setTransformContext(project.transformContext())
settings.setOutputSize(QSize(600, 400))
site = next(layer for layer in shown if layer.name().startswith("True colour"))
settings.setDestinationCrs(site.crs())
settings.setExtent(site.extent())
job = QgsMapRendererParallelJob(settings)
job.start()
job.waitForFinished()
job.renderedImage().save(sys.argv[2])
print(len(layers), len(shown))
"""


def opened(project: Path, picture: Path, *words: str, then: str = "") -> str:
    """Open a project, do `then`, and draw it into a picture; what was printed. Skips without QGIS."""
    if subprocess.run([PYTHON, "-c", "import qgis.core"], capture_output=True).returncode:
        pytest.skip("QGIS is not here: apt-get install python3-qgis qgis-providers")
    command = [PYTHON, "-c", OPENED + then + DRAWN, str(project), str(picture), *words]
    surroundings = {"QT_QPA_PLATFORM": "offscreen", "HOME": str(picture.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=surroundings)
    assert done.returncode == 0, done.stderr
    return done.stdout

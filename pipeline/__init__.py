"""From a mine list to a benchmark: one module a stage, in the order of `dvc dag`.

sites -> archive -> fetch -> compose -> annotate -> tile -> catalog -> report
"""

from importlib.metadata import version

__version__ = version("minebench")

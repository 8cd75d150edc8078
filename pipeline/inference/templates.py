"""The HTML pages of this package."""

from importlib.resources import files

import jinja2


def page(name: str) -> jinja2.Template:
    """A page to be filled in; what is put in is escaped."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("pipeline.inference").joinpath(name).read_text(encoding="utf-8"))

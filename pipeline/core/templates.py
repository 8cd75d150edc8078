"""Templates that lie beside the modules that fill them in."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import jinja2


def load(
    package: str, name: str, filters: Mapping[str, Callable[..., Any]] | None = None, **options: Any
) -> jinja2.Template:
    """Return a template of a package.

    Parameters
    ----------
    package, name
        Where it lies, such as ``pipeline.report`` and ``page.html``.
    filters
        Filters that it uses beside Jinja's own.
    **options
        Of `jinja2.Environment`. What is put in is escaped, as HTML and XML need it, unless `autoescape`
        is False.
    """
    environment = jinja2.Environment(
        **{"autoescape": True, "trim_blocks": True, "lstrip_blocks": True, **options}
    )
    environment.filters |= filters or {}
    return environment.from_string(files(package).joinpath(name).read_text(encoding="utf-8"))

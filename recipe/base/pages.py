"""Self-contained HTML pages, filled in from a template in a package."""

from __future__ import annotations

from importlib import resources
from typing import Any

import jinja2

from recipe.base.notebook import marked
from recipe.base.printable import printable_lines


def page_of(package: str, template: str = "page.html", **values: Any) -> str:
    """Return a template of a package, filled in. Text is escaped and made printable.

    The template may extend another one of the package. In it, ``marked(text) | safe`` is the text of a message, with
    what is in backticks as code.
    """
    files = resources.files(package)
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (files / name).read_text("utf-8")),
        autoescape=True,
        finalize=lambda value: printable_lines(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    html: str = environment.get_template(template).render(marked=marked, **values)
    return html

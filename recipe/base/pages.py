"""Self-contained HTML pages, filled in from the template in a package."""

from __future__ import annotations

from importlib import resources
from typing import Any

import jinja2

from recipe.base.notebook import marked
from recipe.base.printable import printable_lines


def page_of(package: str, **values: Any) -> str:
    """Return the template `page.html` of a package, filled in. Text is escaped and made printable.

    In a template, ``marked(text) | safe`` is the text of a message, with what is in backticks as code.
    """
    source = (resources.files(package) / "page.html").read_text("utf-8")
    template = jinja2.Template(
        source,
        autoescape=True,
        finalize=lambda value: printable_lines(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    html: str = template.render(marked=marked, **values)
    return html

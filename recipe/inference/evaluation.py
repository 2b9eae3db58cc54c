"""`Evaluation`: how well a model classifies images, and reports of it."""

from __future__ import annotations

import attrs

from recipe.base import notebook
from recipe.inference.figures import Figures
from recipe.inference.page import page
from recipe.inference.report import text


@attrs.frozen(eq=False, slots=False, repr=False)
class Evaluation(Figures):
    """The evaluation of a model on labeled images, with reports of it."""

    def to_text(self) -> str:
        """Return a report for a terminal."""
        return text(self)

    def to_html(self) -> str:
        """Return a report as one self-contained page, with pictures of the worst errors as the model sees them."""
        return page(self)

    def _repr_html_(self) -> str:
        """Return what notebooks show: the page, apart from the notebook's own styles."""
        return notebook.framed(self.to_html())

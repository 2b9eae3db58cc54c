"""A sheet of images as the network sees them, with their targets."""

from __future__ import annotations

import io
from functools import cached_property
from html import escape
from pathlib import Path

import attrs
from PIL import Image

from recipe.base import files, notebook
from recipe.base.errors import fail
from recipe.base.wording import plural, with_near_paths
from recipe.showing.drawing import Section, draw
from recipe.showing.tiles import Tile


@attrs.frozen(eq=False, slots=False, repr=False)
class Sheet:
    """Images as the network sees them, with their targets. A notebook shows it as a picture, with its notes."""

    training: tuple[Tile, ...]
    """The training images, in the order in which they are trained on."""
    evaluation: tuple[Tile, ...]
    """The evaluation images. If evaluation uses several views of an image, they follow one another."""
    epoch: int
    """The epoch of the training images, counted from 1."""
    classes: tuple[str, ...]
    """The names of the classes, or their numbers: those of the shares in the targets."""
    notes: tuple[str, ...] = ()
    """What was passed over in the dataset, and which images can't be read."""
    views: int = 1
    """The number of views of each evaluation image."""

    @cached_property
    def image(self) -> Image.Image:
        """The sheet as a Pillow image."""
        sections = []
        if self.training:
            steps = sorted({tile.step + 1 for tile in self.training if tile.step is not None})
            which = f"step {steps[0]}" if len(steps) == 1 else f"steps {steps[0]} to {steps[-1]}"
            instead = sum(tile.replaces is not None for tile in self.training)
            told = f", {plural(instead, 'image')} in place of skipped ones" if instead else ""
            sections.append(Section(f"training: epoch {self.epoch}, {which}{told}", self.training))
        if self.evaluation:
            views = f", {self.views} views of each image" if self.views > 1 else ""
            sections.append(Section(f"evaluation{views}", self.evaluation, self.views))
        return draw(sections)

    def save(self, path: str | Path) -> None:
        """Write the sheet as a PNG file.

        Raises `RecipeError` (E111) if the file already exists, its name doesn't end in `.png`, or it can't be written.
        """
        see_usable(Path(path))
        files.write(Path(path), lambda file: file.write(self._repr_png_()))

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.image.save(content, format="PNG")
        return content.getvalue()

    def _repr_html_(self) -> str:
        """Return what notebooks show: the picture, and the notes below it."""
        picture = f'<img src="{notebook.data_url(self._repr_png_())}" alt="{escape(repr(self))}">'
        return picture + notebook.blocks(map(with_near_paths, self.notes))

    def __repr__(self) -> str:
        return f"Sheet({len(self.training)} training tiles of epoch {self.epoch}, {len(self.evaluation)} of evaluation)"


def see_usable(path: Path) -> None:
    """Raise `RecipeError` (E111) if a sheet can't be written to a path: it exists, or is not named like a PNG file."""
    if path.suffix.lower() != ".png":
        raise fail("E111", f"`{path}` is not a valid name for a PNG file", help="end the name in `.png`")
    files.see_free(path)

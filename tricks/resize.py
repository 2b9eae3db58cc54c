"""resize [START]: progressive resizing, from small to full-size images.

Howard 2018 (fast.ai's DAWNBench entry), and Composer's method of the same name. The defaults are Composer's, except
that images start growing immediately: the side rises linearly from the fraction START, and the last fifth of the
training uses the full size.
"""

from __future__ import annotations

from recipe.api import Progress, Trick, integer, number, trick


@trick(
    "resize",
    position=60,
    writes=("resolution",),
    known_as=("progressive-resizing", "progressive-learning", "progressive-resize"),
)
class Resize(Trick):
    """Train on small images first, which is faster, and gradually increase them to full size."""

    start: float = number(0.5, "initial side, as a fraction of the full side", above=0, maximum=1)
    full: float = number(
        0.8, "fraction of the training after which images have full size", above=0, maximum=1, formerly="until"
    )
    step: int = integer(4, "round the side to multiples of this many pixels", minimum=1, maximum=1024)

    def resolution(self, side: int, progress: Progress) -> int:
        return grown(side, progress.epoch / progress.epochs, self.start, self.full, self.step)


def grown(side: int, done: float, start: float, full: float, step: int) -> int:
    """Return the side in pixels when a fraction of the training is done, at least ``step`` unless the image is smaller.

    >>> [grown(224, done, 0.5, 0.8, 4) for done in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    [112, 140, 168, 196, 224, 224]
    """
    if done >= full:
        return side
    part = start + (1 - start) * done / full
    return min(side, max(step, int(side * part / step + 1e-9) * step))

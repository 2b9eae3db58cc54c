"""resize [START]: progressive resizing, from small images to whole ones.

Howard 2018 (fast.ai's entry to DAWNBench), and Composer's method of that name, whose defaults these are but that it
begins to grow at once: the side rises linearly from START of its size, and for the last fifth of the training images
have their full size.
"""

from __future__ import annotations

from recipe.api import Progress, Trick, integer, number, trick


@trick("resize", position=60, writes=("resolution",))
class Resize(Trick):
    """Train on small images at first, which are quicker to compute, and let them grow to their full size."""

    start: float = number(0.5, "part of the side at the beginning", above=0, maximum=1)
    until: float = number(0.8, "part of the training after which images have their full size", above=0, maximum=1)
    step: int = integer(4, "pixels that sides are multiples of, until they are full", minimum=1, maximum=1024)

    def resolution(self, side: int, progress: Progress) -> int:
        return grown(side, progress.epoch / progress.epochs, self.start, self.until, self.step)


def grown(side: int, done: float, start: float, until: float, step: int) -> int:
    """The side when a part of the training is done, in pixels; never smaller than a step, where there is room for one.

    >>> [grown(224, done, 0.5, 0.8, 4) for done in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    [112, 140, 168, 196, 224, 224]
    """
    if done >= until:
        return side
    part = start + (1 - start) * done / until
    return min(side, max(step, int(side * part / step + 1e-9) * step))

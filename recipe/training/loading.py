"""The batches for training: which images, in which order, on which process."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError
from recipe.data.draws import Draws, occurrences, order
from recipe.data.images import Array, Boxer, Images
from recipe.inference.batches import Batch, Loaded, Numbers, fetched, unreadable
from recipe.plugins.during import ALWAYS, During
from recipe.plugins.progress import Progress
from recipe.plugins.settings import Training


def share(images: int, rank: int, world: int) -> slice:
    """Return a process's share of a batch, in whole pairs of partners. An odd last image joins the last pair.

    >>> [share(9, rank, 3) for rank in range(3)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 9, None)]
    """
    if world == 1:
        return slice(0, images)
    pairs = max(1, images // 2)
    start, stop = (2 * (pairs * at // world) for at in (rank, rank + 1))
    if stop == 2 * pairs:
        stop = images
    return slice(min(start, images), stop)


class Steps(Dataset[Loaded]):
    """The training batches, by step. A pure function of the seed and the step.

    ``boxer`` chooses the part of each image to use, in the steps that ``during`` holds. ``chooser`` chooses the images
    of an epoch and their order, instead of each image once in random order.
    """

    def __init__(
        self,
        images: Images,
        training: Training,
        boxer: Boxer | None,
        skip: bool = False,
        rank: int = 0,
        world: int = 1,
        size: int | None = None,
        during: During = ALWAYS,
        chooser: Callable[[Numbers, Draws], Numbers] | None = None,
    ) -> None:
        self.images, self.training, self.boxer, self.skip, self.size = images, training, boxer, skip, size
        self.rank, self.world, self.during = rank, world, during
        self.samples = len(images.labels)
        self.steps = training.steps(self.samples)
        self.chooser = chooser
        self.order: tuple[int, Numbers, Numbers | None] = (-1, np.empty(0, np.int64), None)

    def __getitem__(self, step: int) -> Loaded:
        try:
            return self._batch(step)
        except RecipeError as error:
            return error.diagnostics

    def numbers(self, step: int) -> Numbers:
        """Return the dataset indices of the images in the whole batch of a step."""
        return self._epoch(step)[0]

    def _epoch(self, step: int) -> tuple[Numbers, Numbers | None]:
        """Return the dataset indices of the images in a whole batch, and how often each came before in its epoch."""
        epoch, position = divmod(step, self.steps)
        if self.order[0] != epoch:
            if self.chooser is None:
                self.order = (epoch, order(self.training.seed, epoch, self.samples), None)
            else:
                every = np.arange(self.samples)
                draws = Draws(self.training.seed, epoch, every, epoch * self.steps)
                chosen = self.chooser(self.images.labels.numpy(), draws)
                self.order = (epoch, chosen, occurrences(chosen))
        part = self.training.images(position, self.samples)
        return self.order[1][part], None if self.order[2] is None else self.order[2][part]

    def _batch(self, step: int) -> Batch:
        (whole, before), epoch = self._epoch(step), step // self.steps
        places = np.arange(len(whole))[share(len(whole), self.rank, self.world)]
        counted = len(places) > 0
        if not counted:  # the other processes wait for this one's gradients, which are zero
            places = np.arange(min(2, len(whole)))
        skipped = dict[int, str]()
        if self.skip:
            pixels, indices, before, skipped = self._sound(places, step)
        else:
            indices, before = whole[places], None if before is None else before[places]
            pixels = self._fetch(indices, before, epoch, step)
        labels, told = self.images.labels[torch.from_numpy(indices)], tuple(sorted(skipped.items()))
        return Batch(pixels, labels, indices, epoch, step, len(whole), counted, told, before)

    def _fetch(self, indices: Numbers, before: Numbers | None, epoch: int, step: int) -> Tensor:
        boxer = self.boxer
        if boxer is None or not self.during.holds(Progress(step, self.steps, self.training.epochs)):
            return fetched(self.images, indices, self.size)

        def box_of(place: int, height: int, width: int) -> Array:
            one = slice(place, place + 1)
            again = None if before is None else before[one]
            draws = Draws(self.training.seed, epoch, indices[one], step, "crop", again)
            box: Array = boxer(draws, np.array([float(height)]), np.array([float(width)]))[0]
            return box

        return fetched(self.images, indices, self.size, box_of)

    def _sound(self, places: Numbers, step: int) -> tuple[Tensor, Numbers, Numbers | None, dict[int, str]]:
        """Return the images at some places of a batch, replacing each one that can't be decoded by the next that can.

        Also returns the indices of the images, how often each came before in its epoch, and which ones are skipped.

        The partner is tried first, then the images that follow in the batch, whichever process they belong to, and then
        those that follow in the epoch. The contents of a batch therefore do not depend on how it is shared.
        """
        epoch, position = divmod(step, self.steps)
        part, (_, every, before) = self.training.images(position, self.samples), self.order
        count = part.stop - part.start
        skipped, pixels, found = dict[int, str](), list[Tensor](), list[int]()
        for place in places:
            following = [place, place ^ 1, *((place + ahead) % count for ahead in range(1, count))]
            within = (part.start + at for at in following if at < count)
            for candidate in chain(within, range(part.stop, len(every)), range(part.start)):
                one = slice(candidate, candidate + 1)
                index = int(every[candidate])
                if index in skipped:
                    continue
                try:
                    pixels.append(self._fetch(every[one], None if before is None else before[one], epoch, step))
                except RecipeError as error:
                    skipped[index] = unreadable(error)
                    continue
                found.append(candidate)
                break
            else:
                raise RecipeError(Diagnostic("E070", "no training image can be read"))
        return torch.cat(pixels), every[found], None if before is None else before[found], skipped

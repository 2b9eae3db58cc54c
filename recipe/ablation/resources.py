"""Who runs the cells of an ablation: how many at a time, on which devices of this machine, or by whose scheduler."""

from __future__ import annotations

import os
from collections.abc import Mapping

import attrs

from recipe.ablation.launchers import check
from recipe.base.errors import fail


@attrs.frozen
class Workers:
    """So many runs at a time, on a device, by a launcher with its options. Raises `RecipeError` where that can't be.

    Without a ``device`` it is the CUDA devices in turn, else the CPU.
    """

    device: str | None = None
    jobs: int = 1
    launcher: str = "local"
    options: Mapping[str, str] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if self.jobs < 1:
            raise fail("E125", f"one run or more at a time, not {self.jobs}")
        check(self.launcher, self.options)
        if self.local:
            from recipe.devices.choice import pick

            pick(self.device)

    @property
    def local(self) -> bool:
        """Whether this machine runs them."""
        return self.launcher == "local"

    @property
    def described(self) -> str:
        """How the runs are made, in words."""
        return f"{self.jobs} at a time, {self.launcher}, {self.device or 'any device'}"

    @property
    def devices(self) -> tuple[str | None, ...]:
        """The devices that runs take turns on; on each one they share its time."""
        if self.local and self.device is None and self.jobs > 1:
            import torch

            if torch.cuda.device_count() > 1:
                return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))
        return (self.device,)

    @property
    def parallel(self) -> int:
        """How many runs have a device each."""
        return min(self.jobs, len(self.devices)) if self.local else self.jobs

    @property
    def threads(self) -> int | None:
        """How many threads each run gets, where they share this machine's cores and the user does not say."""
        if not self.local or self.jobs == 1 or "OMP_NUM_THREADS" in os.environ:
            return None
        from recipe.devices.choice import cores

        return max(1, cores() // self.jobs)

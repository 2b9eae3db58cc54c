"""The settings of a training, as plain values: what the tricks of a plan agree on before anything is built."""

from __future__ import annotations

import attrs


@attrs.frozen
class Training:
    """Settings that a trick's `configure` changes, with the values they have where no trick does."""

    epochs: int = 1
    batch: int = 1
    micro: int | None = None
    micro_auto: bool = False  # the largest micro batch that fits is found out
    synchronised: bool = False  # batch normalisation over all processes
    seed: int = 0
    rate: float = 0.1
    rate_per_epoch: bool = False  # the learning rate changes between epochs only
    warmup: float = 0.0  # epochs
    weight_decay: float = 0.0
    aux_weight: float = 0.0  # of the loss of auxiliary heads
    precision: str = "fp32"
    channels_last: bool = False
    compile_mode: str | None = None

    def steps(self, samples: int) -> int:
        """Batches an epoch: full ones, then the rest; a rest of one image joins the batch before it."""
        whole, rest = divmod(samples, self.batch)
        return max(1, whole + (rest > 1 or (rest == 1 and whole == 0)))

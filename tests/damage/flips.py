"""Flipped bits in a whole checkpoint: each of them is noticed before anything is unpacked."""

from __future__ import annotations

from random import Random

import torch

from recipe.runs import checkpoints
from recipe.runs.state import OtherVersion


def undetected(content: bytes, count: int, seed: int) -> list[tuple[int, int]]:
    """Flip bits one at a time, and return the byte and bit of those that `checkpoints.unpack` does not refuse.

    Half of them are in the zip's central directory and in the digest, which zip's own checksums don't cover.
    """
    random, found = Random(seed), list[tuple[int, int]]()
    directory = int.from_bytes(content[-checkpoints.SEALED - 6 :][:4], "little")
    assert content[directory : directory + 4] == b"PK\1\2"
    for number in range(count):
        place, bit = random.randrange(directory if number % 2 else 0, len(content)), random.randrange(8)
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        try:
            checkpoints.unpack(bytes(damaged), torch.device("cpu"))
        except OtherVersion:  # would stop the run, where the checkpoint before would do
            found.append((place, bit))
        except Exception:
            continue
        else:
            found.append((place, bit))
    return found

"""Limits for a training step with each trick: kernel launches in each stage, and waits for the device.

`python -m tests.gpu --fake` prints the counts of each trick; the test suite enforces the limits.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

import attrs

from recipe.compiler.program import Program
from recipe.plugins.vocabulary import Vocabulary, words_of
from recipe.testing.harness import Case, Harness
from recipe.testing.trick_under_test import TrickUnderTest
from tests import builtins
from tests.gpu.fake import Watch, step
from tests.gpu.sets import TOGETHER, waits
from tests.stages import STAGES

BATCH = 8
BASE = f"data fake size=32 classes=10 images=16; batch {BATCH}; epochs 2; lr 0.05; layout channels-last; precision fp16"
UNCOUNTED = ("engine", "forward")
"""Stages whose launches depend on the network: torch's engine and the model itself."""

BARE = {"prepare": 4, "loss": 3, "backward": 11, "metrics": 6, "guard": 21, "optimizer": 1, "rest": 10}
"""Launches allowed in a step without tricks."""

SOFT = {"loss": 3, "metrics": 1}
"""Additional launches if targets are distributions."""
OWN = {"prepare": 9, **SOFT}
"""Additional launches for images of one's own, which suggest smoothing."""
MORE: Mapping[str, Mapping[str, int]] = {
    "augment crop": {"prepare": 19},
    "augment cutmix": {"prepare": 50, **SOFT},
    "augment erase": {"prepare": 30},
    "augment flip": {"prepare": 3},
    "augment jitter": {"prepare": 38},
    "augment mixup": {"prepare": 10, **SOFT},
    "augment pca-noise": {"prepare": 7},
    "augment trivial": {"prepare": 125},  # torchvision augments one image at a time
    "batch micro": {"loss": 9, "backward": 40, "metrics": 18},  # four parts
    "clip": {"adjust": 18, "guard": 24},
    "data folder": OWN,
    "data hf": OWN,
    "data list": OWN,
    "data torchvision": OWN,
    "decay no-bias": {"optimizer": 1},
    "ema": {"average": 2},
    "loss bce": {"loss": 3},
    "loss distill": {"loss": 87},  # the teacher's network
    "loss smooth": {"prepare": 6, **SOFT},
    "loss weights": {"loss": 8},
    "input": {"prepare": 5},  # gray images
    "lr head": {"optimizer": 1},
    "lr layers": {"optimizer": 3},  # one for each group
    "optimizer adamw": {"optimizer": 2},
    "optimizer lars": {"optimizer": 18},
    "resize": {"resize": 1},
    "sam": {"perturb": 37, "loss": 3, "backward": 11, "guard": 20, "rest": 5},
    "together": {"prepare": 79, "adjust": 18, "guard": 24, "optimizer": 1, "average": 2, **SOFT},
}
"""Launches allowed in addition to `BARE` with each trick, on the small network of the kit; none with other tricks."""


@attrs.frozen
class Seen:
    """The launches of a step with a trick, and its findings."""

    trick: str
    launches: Mapping[str, int]
    found: tuple[str, ...]

    def __str__(self) -> str:
        counts = "  ".join(f"{stage} {self.launches[stage]}" for stage in STAGES if self.launches.get(stage))
        return "\n".join([f"{self.trick or 'no tricks'}: {counts}", *(f"    {one}" for one in self.found)])


def beyond(trick: str, launches: Mapping[str, int]) -> Iterator[str]:
    """Describe the stages in which a step with a trick exceeds its launches."""
    allowed = Counter(BARE) + Counter(MORE.get(trick, {}))
    for stage, count in launches.items():
        if stage not in UNCOUNTED and count > allowed[stage]:
            yield f"launches {count} in {stage}, and may launch {allowed[stage]}"


def judged(trick: str, watch: Watch, images: int = BATCH) -> Seen:
    """Return the launches of a watched step with all that is wrong."""
    told = [str(one) for one in watch.findings if one.kind not in ("waits", "blocks")]
    waiting = [str(one) for one in watch.findings if one.kind in ("waits", "blocks")]
    if len(waiting) > waits(trick, images):
        told += waiting
    several = [f"{one} ({count} times)" if count > 1 else one for one, count in Counter(told).items()]
    return Seen(trick, dict(watch.launches), (*several, *beyond(trick, watch.launches)))


def words() -> list[str]:
    """Return the words of every trick, with an empty text for no tricks, and "together" for many."""
    return ["", *map(words_of, Vocabulary.installed().keys()), "together"]


def programs(files: Path, chosen: Container[str]) -> Iterator[tuple[str, Program]]:
    """Yield the programs of the chosen `words`, each with the statements that its trick needs."""
    bench = Harness(Vocabulary.installed(), builtins.COMPANY, builtins.values(files))
    for word in words():
        if word not in chosen:
            continue
        if word in ("", "together"):
            yield word, bench.program(Case((BASE, TOGETHER) if word else (BASE,)))
            continue
        subject = TrickUnderTest(word, bench)
        first = next(subject.cases())
        layers = () if subject.overrides("build", "open") else (BASE,)
        yield (
            word,
            bench.program(Case((*(layers or first.layers), *first.layers[1:], subject.statement()), first.network)),
        )


def watched(files: Path, chosen: Container[str]) -> Iterator[Seen]:
    """Watch a training step with each of the chosen `words` on a fake device."""
    with builtins.unchecked_files():
        for word, program in programs(files, chosen):
            yield judged(word, step(program, batch=BATCH))


def main() -> int:
    """Print the counts of each trick, and return 1 if one exceeds its limits."""
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        builtins.write_files(Path(folder))
        for seen in watched(Path(folder), words()):
            print(seen, flush=True)
            wrong += bool(seen.found)
    print(f"{wrong} tricks exceed their limits")
    return int(wrong > 0)

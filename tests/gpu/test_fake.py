"""A training step with each trick on a fake device, and the findings for tricks that are wrong on a GPU.

RECIPE_TEST_MORE=3 watches all tricks, not only a sample.
"""

from __future__ import annotations

import contextlib
import inspect
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

import recipe
from recipe.api import Trick
from recipe.base.errors import RecipeError
from recipe.testing import small
from tests import builtins
from tests.gpu.fake import OWN, Watch, fake_cuda, step
from tests.gpu.faulty import FAULTS
from tests.gpu.limits import BASE, Seen, judged, watched, words
from tests.helpers import sample, vocabulary_with

pytestmark = pytest.mark.xdist_group("fake device")
ALWAYS = ["", "together", "resize", "sam"]
"""These have all stages of a step."""
CHOSEN = {*ALWAYS, *sample([word for word in words() if word not in ALWAYS], 20)}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Seen]:
    files = tmp_path_factory.mktemp("files")
    builtins.write_files(files)
    return {one.trick: one for one in watched(files, CHOSEN)}


@pytest.mark.slow
def test_no_trick_mixes_devices_waits_loses_the_layout_or_exceeds_its_launches(seen: Mapping[str, Seen]) -> None:
    assert {*seen} == CHOSEN
    assert not [str(one) for one in seen.values() if one.found]


@pytest.mark.slow
def test_all_stages_of_a_step_are_watched(seen: Mapping[str, Seen]) -> None:
    launched = Counter(stage for one in seen.values() for stage in one.launches)
    assert {"prepare", "resize", "forward", "loss", "metrics", "perturb", "guard", "adjust", "average"} <= {*launched}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_mistake_is_found_at_its_line(fault: type[Trick]) -> None:
    words = vocabulary_with(fault)
    program = recipe.compile(BASE, fault.declared.word, base=small(), plugins=words)
    watch = Watch(True, (*OWN, str(Path(__file__).with_name("faulty.py"))))
    with contextlib.suppress(RecipeError):  # some steps can't continue without values
        step(program, watch=watch)
    found = judged(fault.declared.word, watch).found
    said = [one for one in found if FAULTS[fault] in one]
    assert said, found
    # A count has no line; a lost layout is found where it costs something, not where it is lost.
    if "may launch" not in FAULTS[fault] and "loses the layout" not in FAULTS[fault]:
        lines, first = inspect.getsourcelines(fault)
        file, _, line = said[0].partition("faulty.py:")
        assert file != said[0], said
        assert first <= int(line.split(" ")[0]) < first + len(lines)


def test_the_fake_device_ends_with_its_context() -> None:
    available = torch.cuda.is_available()
    with fake_cuda():
        assert torch.cuda.is_available()
    assert torch.cuda.is_available() == available

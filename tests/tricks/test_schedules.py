"""Linear scaling, warmup, cosine and steps, compared with torch's schedulers and closed forms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recipe.plugins.progress import Progress
from tests.helpers import bind

STEPS = 7  # batches per epoch


def rates(text):
    """Return the learning rate of each batch of a training."""
    plan = bind(f"base resnet18; {text}")
    training = plan.training
    return [
        plan.learning_rate(Progress(step, STEPS, training.epochs, training.warmup))
        for step in range(STEPS * training.epochs)
    ]


def scheduled(make, rate, steps, every=1):
    """Return the rates of a torch scheduler that is stepped every ``every`` batches."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    scheduler, found = make(optimizer), []
    for step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0:
            scheduler.step()
    return found


def test_the_rate_is_constant_without_a_schedule():
    assert rates("lr 0.25; epochs 3") == [0.25] * 3 * STEPS


@pytest.mark.parametrize("epochs", [1, 4, 30])
def test_cosine_equals_that_of_torch(epochs):
    steps = epochs * STEPS
    theirs = scheduled(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=steps), 0.3, steps)
    assert rates(f"lr 0.3 cosine; epochs {epochs}") == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_cosine_to_a_floor_equals_that_of_torch():
    theirs = scheduled(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 4 * STEPS, eta_min=0.03), 0.3, 4 * STEPS)
    assert rates("lr 0.3 cosine floor=0.1; epochs 4") == pytest.approx(theirs, rel=1e-9)


def test_cosine_by_epoch_equals_that_of_torch():
    theirs = scheduled(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=5), 0.3, 5 * STEPS, every=STEPS)
    assert rates("lr 0.3 every=epoch cosine; epochs 5") == pytest.approx(theirs, rel=1e-9)
    assert rates("dialect torchvision; lr 0.3 cosine; epochs 5") == pytest.approx(theirs, rel=1e-9)


def test_the_papers_warmup_and_cosine():
    # Section 5.1: eta_t = (1 + cos(t pi / T)) / 2 * eta, with t and T without the warmup. Section 3.1: i * eta / m.
    warm, total = 5 * STEPS, 20 * STEPS
    found = rates("lr 0.4 warmup 5 cosine; epochs 20")
    assert found[:warm] == pytest.approx([i * 0.4 / warm for i in range(1, warm + 1)], rel=1e-12)
    rest = [(1 + math.cos(t * math.pi / (total - warm))) / 2 * 0.4 for t in range(total - warm)]
    assert found[warm:] == pytest.approx(rest, rel=1e-9)
    assert max(found) == found[warm - 1] == pytest.approx(0.4)


@pytest.mark.parametrize("milestones", [(30, 60, 90), (2,), (1, 2, 3)])
def test_steps_equal_those_of_torch(milestones):
    epochs = milestones[-1] + 2
    theirs = scheduled(
        lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [m * STEPS for m in milestones]), 0.1, epochs * STEPS
    )
    words = " ".join(map(str, milestones))
    assert rates(f"lr 0.1 step {words}; epochs {epochs}") == pytest.approx(theirs, rel=1e-9)


def test_steps_count_epochs_from_the_start_including_the_warmup():
    found = rates("lr 1 warmup 1 step 3 by=0.5; epochs 5")
    assert found[STEPS - 1 : 3 * STEPS] == [1.0] * (2 * STEPS + 1)
    assert found[3 * STEPS :] == [0.5] * 2 * STEPS


def test_warmup_may_be_a_fraction_of_an_epoch():
    found = rates("lr 1 warmup 0.5; epochs 1")
    assert found == pytest.approx([min(1, i / (0.5 * STEPS)) for i in range(1, STEPS + 1)])


def test_a_warmup_of_0_changes_nothing():
    assert rates("lr 1 warmup 0 cosine; epochs 2") == rates("lr 1 cosine; epochs 2")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("lr 0.1 per 256; batch 1024", 0.4),
        ("lr 0.1 per 256; batch 256", 0.1),
        ("batch 32; lr 0.1 per 256", 0.0125),
        ("lr 0.5 per 512; batch 1024", 1.0),
        ("lr per 256; batch 512", 0.2),
        ("lr 0.1 per 256; batch 512 micro 32", 0.2),
    ],
)
def test_linear_scaling(text, rate):
    assert bind(f"base resnet18; {text}").training.rate == pytest.approx(rate)


@given(
    epochs=st.integers(1, 50),
    warmup=st.floats(0, 60),
    schedule=st.sampled_from(["", "cosine", "step 3 20", "cosine floor=0.2"]),
    every=st.sampled_from(["batch", "epoch"]),
)
def test_rates_are_between_0_and_the_base_rate(epochs, warmup, schedule, every):
    found = rates(f"lr 0.1 every={every} warmup {warmup!r} {schedule}; epochs {epochs}")
    assert all(0 <= rate <= 0.1 * (1 + 1e-12) for rate in found)
    assert found[0] > 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lr warmup 5; epochs 5", "only rises"),
        ("lr step 30 60; epochs 50", "ends before the step at 60"),
    ],
)
def test_a_schedule_that_does_not_fit_causes_a_warning(text, words):
    (warning,) = bind(f"base resnet18; {text}").warnings
    assert words in warning.message

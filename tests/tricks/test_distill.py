"""Distillation: Hinton's loss, compared with torch's divergence, and its weights in each dialect."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from recipe.training.objective import objective
from recipe.tricks.loss_distill import distillation
from tests.helpers import bind


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3


STUDENT, TEACHER = drawn(8, 6, seed=0), drawn(8, 6, seed=1)
LABELS = torch.arange(8) % 6


def soft_loss(temperature):
    """Return the divergence of the student from the teacher, by torch."""
    softened = F.log_softmax(STUDENT / temperature, 1), F.softmax(TEACHER / temperature, 1)
    return temperature**2 * torch.nn.KLDivLoss(reduction="batchmean")(*softened)


@given(st.floats(0.5, 50))
def test_the_soft_loss_is_the_divergence(temperature):
    found = distillation(STUDENT, TEACHER, temperature)
    torch.testing.assert_close(found, soft_loss(temperature), rtol=1e-4, atol=1e-6 * temperature**2)


def test_its_gradient_is_that_of_the_cross_entropy_to_the_bit():
    students = [STUDENT.clone().requires_grad_() for _ in range(2)]
    distillation(students[0], TEACHER, 20.0).backward()
    (F.cross_entropy(students[1] / 20.0, F.softmax(TEACHER / 20.0, 1)) * 400.0).backward()
    assert torch.equal(students[0].grad, students[1].grad)


def test_a_student_equal_to_its_teacher_has_no_loss_and_no_gradient():
    student = TEACHER.clone().requires_grad_()
    loss = distillation(student, TEACHER, 20.0)
    loss.backward()
    torch.testing.assert_close(loss, torch.tensor(0.0), rtol=0, atol=1e-3)
    torch.testing.assert_close(student.grad, torch.zeros_like(student), rtol=0, atol=1e-5)


@pytest.fixture
def plan(tmp_path):
    """Return a function that binds a recipe with a teacher in the same folder."""
    (tmp_path / "teacher.recipe").write_text("base resnet34\n")
    return lambda text: bind(text, folder=tmp_path)


def loss_of(plan, targets):
    digest = plan.find("loss distill").trick.teacher.digest
    images = torch.zeros(8, 3, 4, 4)
    seen = []

    def teach(inputs):
        seen.append(inputs)
        return TEACHER

    loss, logits = objective(plan, {digest: teach})(STUDENT, targets, images)
    assert seen == [images]
    assert logits is STUDENT
    return loss


@pytest.mark.parametrize("dialect", ["paper", "torchvision"])
def test_the_paper_adds_both_losses(plan, dialect):
    found = loss_of(plan(f'base resnet18; dialect {dialect}; loss distill "teacher.recipe"'), LABELS)
    torch.testing.assert_close(found, F.cross_entropy(STUDENT, LABELS) + soft_loss(20), rtol=1e-4, atol=1e-3)


def test_gluoncv_weights_both_losses_by_one_half(plan):
    found = loss_of(plan('base resnet18; dialect gluoncv; loss distill "teacher.recipe"'), LABELS)
    expected = 0.5 * F.cross_entropy(STUDENT, LABELS) + 0.5 * soft_loss(20)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("hard", "soft"), [(0, 1), (1, 0), (0.3, 0.7), (2, 3)])
def test_weights_and_temperature_can_be_set(plan, hard, soft):
    text = f'base resnet18; loss distill "teacher.recipe" temperature=4 weight={hard} soft-weight={soft}'
    found = loss_of(plan(text), LABELS)
    expected = hard * F.cross_entropy(STUDENT, LABELS) + soft * soft_loss(4)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_the_hard_loss_uses_smoothed_targets(plan):
    targets = F.softmax(drawn(8, 6, seed=2), 1)
    text = 'base resnet18; loss smooth 0.1; loss distill "teacher.recipe" weight=0.5 soft-weight=0'
    torch.testing.assert_close(loss_of(plan(text), targets), 0.5 * F.cross_entropy(STUDENT, targets))


@pytest.mark.parametrize(("text", "weight"), [("loss", 0.4), ("loss aux=0.25", 0.25), ("loss aux=0", 0.0)])
def test_auxiliary_heads_add_weighted_losses(text, weight):
    aux, images = [drawn(8, 6, seed=seed) for seed in (3, 4)], torch.zeros(8, 3, 4, 4)
    loss, logits = objective(bind(f"base googlenet; {text}"), {})((STUDENT, *aux), LABELS, images)
    expected = F.cross_entropy(STUDENT, LABELS) + weight * sum(F.cross_entropy(head, LABELS) for head in aux)
    torch.testing.assert_close(loss, expected)
    assert logits is STUDENT

"""Label smoothing: over the other classes as in the paper, and over all classes as in other dialects."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from recipe.training.objective import cross_entropy
from recipe.tricks.loss_smooth import smooth
from tests.helpers import bind


def one_hot(labels, classes):
    return F.one_hot(torch.as_tensor(labels), classes).double()


@given(epsilon=st.floats(0, 0.99), classes=st.integers(2, 50), label=st.integers(0, 49))
def test_smoothing_matches_the_closed_form_of_the_paper(epsilon, classes, label):
    label %= classes
    (row,) = smooth(one_hot([label], classes), epsilon)
    expected = torch.full((classes,), epsilon / (classes - 1), dtype=torch.float64)
    expected[label] = 1 - epsilon
    torch.testing.assert_close(row, expected)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("dialect", ["gluoncv", "torchvision"])
def test_other_dialects_smooth_as_torch_does(dialect, epsilon):
    trick = bind(f"base resnet18; dialect {dialect}; loss smooth {epsilon}").find("loss smooth").trick
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(16, 7, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 7, (16,), generator=generator)
    ours = F.cross_entropy(logits, trick.smooth_targets(one_hot(labels, 7)))
    torch.testing.assert_close(ours, F.cross_entropy(logits, labels, label_smoothing=epsilon))


@pytest.mark.parametrize(("dialect", "over"), [("paper", "others"), ("gluoncv", "all"), ("torchvision", "all")])
def test_the_dialect_determines_the_classes(dialect, over):
    trick = bind(f"base resnet18; dialect {dialect}; loss smooth").find("loss smooth").trick
    assert (trick.epsilon, trick.over) == (0.1, over)


@given(epsilon=st.floats(0, 0.99), others=st.booleans(), weights=st.lists(st.floats(0.01, 1), min_size=2, max_size=9))
def test_a_smoothed_distribution_is_a_distribution(epsilon, others, weights):
    given_ = torch.tensor([weights], dtype=torch.float64)
    given_ /= given_.sum()
    result = smooth(given_, epsilon, others)
    torch.testing.assert_close(result.sum(), torch.tensor(1.0, dtype=torch.float64))
    assert (result >= 0).all()


@pytest.mark.parametrize("others", [True, False])
def test_smoothing_and_mixing_commute(others):
    one, other = one_hot([0, 1], 5), one_hot([3, 1], 5)
    mixed_last = smooth(one, 0.1, others).lerp(smooth(other, 0.1, others), 0.3)
    torch.testing.assert_close(mixed_last, smooth(one.lerp(other, 0.3), 0.1, others))


def test_cross_entropy_accepts_labels_and_distributions():
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8) % 5
    torch.testing.assert_close(cross_entropy(logits, labels), cross_entropy(logits, one_hot(labels, 5).float()))

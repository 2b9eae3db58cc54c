"""What all tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

from recipe.registry import Vocabulary
from tests import helpers

# The same examples in every run, and none is timed.
settings.register_profile("recipe", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("recipe")


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """The installed vocabulary."""
    return helpers.vocabulary()

"""Every fault can still be planted; `python -m tests.planted` plants them and runs the tests."""

from __future__ import annotations

import pytest

from tests.helpers import ROOT
from tests.planted.faults import FAULTS, Fault


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_text_to_replace_occurs_once(fault: Fault) -> None:
    text = (ROOT / fault.file).read_text("utf-8")
    assert (text.count(fault.before), fault.after != fault.before) == (1, True)

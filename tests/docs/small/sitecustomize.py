"""Python imports this module when it starts, if this folder is on its path: the processes that a page starts."""

from tests.docs.small.digits import PATCHES, Digits

for _name, _patch in PATCHES.items():
    setattr(Digits, _name, _patch)

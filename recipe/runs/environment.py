"""What a run was made with, and how two of these environments differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

COMPARED = {
    "python": "Python {}",
    "device_name": "{}",
    "threads": "{} CPU threads",
    "precision": "precision {}",
}
"""The fields besides packages and plugins that can change the bits of a result, and how to write their values."""


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs between two environments and can change a result: ``torch 2.14.1 instead of 2.13.0``."""
    clauses = []
    packages = before["packages"], now["packages"]
    for name in sorted({*packages[0], *packages[1]}):
        was, is_ = (side.get(name, "none") for side in packages)
        if was != is_:
            clauses.append(f"{name} {is_} instead of {was}")
    for field, text in COMPARED.items():
        if before.get(field) != now.get(field):
            clauses.append(f"{text.format(now.get(field))} instead of {text.format(before.get(field))}")
    if before["device"].partition(":")[0] != now["device"].partition(":")[0]:
        clauses.append(f"device {now['device']} instead of {before['device']}")
    clauses += changed_code(before.get("plugins", ()), now.get("plugins", ()))
    return clauses


def changed_code(before: Iterable[Mapping[str, Any]], now: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the tricks whose code differs between two lists of `plugins_of`, a clause each."""
    was, is_ = (
        {word: (plugin["name"], code) for plugin in plugins for word, code in plugin["tricks"].items()}
        for plugins in (before, now)
    )
    clauses = []
    for word in sorted(was.keys() & is_.keys()):
        if was[word][1] != is_[word][1]:
            same = was[word][0] == is_[word][0]
            other = (
                f"of {is_[word][0]}, whose code has changed"
                if same
                else f"from {is_[word][0]} instead of {was[word][0]}"
            )
            clauses.append(f"`{word}` {other}")
    return clauses

"""What is asked of an ablation: defaults, and options that can't be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from recipe.ablation.request import Request, share_of
from recipe.base.caller import commanding
from recipe.base.errors import RecipeError

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"mode": "add", "seeds": 0}, "an ablation has 1 to 1,000 seeds, not 0", ""),
    ({"mode": "add", "seeds": 10**7}, "an ablation has 1 to 1,000 seeds, not 10,000,000", ""),
    ({"mode": "screen", "runs": 10**7}, "an ablation has at most 100,000 runs, not 10,000,000", ""),
    ({"mode": "add", "resolution": 3}, "`--resolution` is for the mode `screen`, not `add`", "leave it out"),
    (
        {"mode": "stack", "runs": 20},
        "`--runs` is for the mode `screen`, or together with `--until`",
        "set the number of seeds with --seeds",
    ),
    ({"mode": "drop", "until": 0.0}, "`--until` takes percentage points, such as 0.5, not 0", ""),
    ({"mode": "drop", "until": 100.0}, "`--until` takes percentage points, such as 0.5, not 100", ""),
    ({"mode": "drop", "until": float("nan")}, "`--until` takes percentage points, such as 0.5, not nan", ""),
    ({"mode": "screen", "resolution": 5}, "a screening has resolution 3 or 4, not 5", ""),
    (
        {"mode": "screen", "runs": 20, "seeds": 2},
        "`--runs` and `--seeds` both choose the number of seeds",
        "use one of them",
    ),
    (
        {"mode": "add", "until": 0.5, "runs": 20, "budget": "1h"},
        "`--runs` and `--budget` both choose the number of seeds",
        "use one of them",
    ),
    ({"mode": "add", "confirm": True}, "`--confirm` is for the mode `screen`, not `add`", "leave it out"),
    ({"mode": "add", "short": "epochs 1"}, "`--short` is for the mode `screen`, not `add`", "leave it out"),
    ({"mode": "screen", "short": " "}, "`--short` is empty", "name statements, such as `epochs 2`"),
    (
        {"mode": "screen", "short": "epochs 1", "budget": "2h"},
        "`--short` and `--budget` both shorten the runs",
        "use one of them",
    ),
    (
        {"mode": "screen", "confirm": True, "holdout": 0.2},
        "`--holdout` and `--confirm` both check the best row",
        "use one of them: other images, or other seeds",
    ),
    (
        {"mode": "screen", "short": "epochs 1", "holdout": 0.2},
        "`--holdout` and `--short` both check the best row",
        "use one of them: other images, or other seeds",
    ),
    (
        {"mode": "add", "holdout": "60%"},
        "`--holdout` is a share from 1% to 50% of the held-out images, not `60%`",
        "write it as `20%`",
    ),
    ({"mode": "add", "out": " "}, "the name of the ablation's folder is empty", "name a folder with --out"),
]


@pytest.mark.parametrize(("options", "message", "help"), WRONG)
def test_what_can_not_be_used_is_an_error(options: dict[str, Any], message: str, help: str) -> None:
    with commanding(), pytest.raises(RecipeError) as caught:
        Request(**options)
    (error,) = caught.value.diagnostics
    assert (error.code, error.message, error.help) == ("E113" if "out" in options else "E124", message, help)


@pytest.mark.parametrize("options", [options for options, _, _ in WRONG])
def test_in_python_no_message_names_an_option_of_the_command(options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as caught:
        Request(**options)
    (error,) = caught.value.diagnostics
    assert "--" not in error.message + error.help


def test_a_change_is_checked_as_well() -> None:
    request = Request(mode="add", holdout="20%")
    assert (request.share, request.evaluates_test) == (0.2, False)
    with pytest.raises(RecipeError, match="E124"):
        attrs.evolve(request, confirm=True)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.mode = "drop"  # type: ignore[misc]


def test_one_trick_can_be_named_without_a_list() -> None:
    assert Request(mode="add", over="tweak D").over == ("tweak D",)
    assert Request(mode="add", over=["tweak D", "lr cosine"]).over == ("tweak D", "lr cosine")


def test_a_short_screening_is_confirmed() -> None:
    assert not Request(mode="screen").confirms
    assert Request(mode="screen", confirm=True).confirms
    assert Request(mode="screen", short="epochs 2").confirms


def test_ablations_without_a_named_folder_share_their_cells() -> None:
    unnamed, named = Request(mode="add", name="mine"), Request(mode="add", out="here")
    assert unnamed.folder("0123456789") == Path("ablations/mine-add-01234567")
    assert unnamed.cells == Path("ablations/cells")
    assert (named.folder("0123456789"), named.cells) == (Path("here"), Path("here/cells"))


@pytest.mark.parametrize(
    ("given", "share"),
    [("20%", 0.2), ("0.2", 0.2), (0.2, 0.2), (" 7% ", 0.07), ("1%", 0.01), ("50%", 0.5), (None, None)],
)
def test_a_share_is_a_percentage_or_a_fraction(given: str | float | None, share: float | None) -> None:
    assert share_of(given) == share


@pytest.mark.parametrize("given", ["0.9%", "51%", "20", "much", "", "-20%", "20%%", float("nan"), 0.6, "1e-1"])
def test_other_shares_are_errors(given: str | float) -> None:
    with pytest.raises(RecipeError, match=r"E124.*`holdout` is a share from 1% to 50%"):
        share_of(given)

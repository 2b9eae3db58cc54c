"""What a list of predictions shows of itself: a table in a notebook, and a short text elsewhere."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from recipe.inference.predictions import MOST_ROWS, MOST_SKIPPED, Prediction, Predictions

CAT = Prediction("a <b>.png", ("cat", "dog", "cow", "ant"), (0.7, 0.2, 0.06, 0.04), (0, 1, 2, 3))
DOG = Prediction("b.png", ("dog", "cat", "cow", "ant"), (0.5, 0.3, 0.1, 0.1), (1, 0, 2, 3))
BROKEN = Prediction("c.png", error="the image `c.png` can't be decoded: it is <empty>")


def rows_of(html: str) -> list[list[str]]:
    """Return the cells of the table in HTML that is well-formed XML, too."""
    return [[cell.text or "" for cell in row] for row in ElementTree.fromstring(f"<div>{html}</div>").iter("tr")]


def told_in(html: str) -> list[str]:
    """Return the paragraphs of HTML."""
    return ["".join(each.itertext()) for each in ElementTree.fromstring(f"<div>{html}</div>").iter("p")]


def test_a_notebook_shows_the_most_likely_classes_of_each_image_and_what_was_skipped() -> None:
    html = Predictions([CAT, BROKEN, DOG])._repr_html_()
    assert rows_of(html) == [
        ["image", "class", "probability", "2nd class", "probability", "3rd class", "probability"],
        ["a <b>.png", "cat", "70.00%", "dog", "20.00%", "cow", "6.00%"],
        ["b.png", "dog", "50.00%", "cat", "30.00%", "cow", "10.00%"],
    ]
    assert told_in(html) == ["1 image skipped:", "the image c.png can't be decoded: it is <empty>"]
    assert "<code>c.png</code>" in html


def test_a_long_list_is_cut_and_says_so() -> None:
    html = Predictions([CAT] * (MOST_ROWS + 7) + [BROKEN] * (MOST_SKIPPED + 2))._repr_html_()
    assert len(rows_of(html)) == 1 + MOST_ROWS
    first, second, *_, last = told_in(html)
    assert (first, second, last) == ("and 7 more images", f"{MOST_SKIPPED + 2} images skipped:", "and 2 more")


@pytest.mark.parametrize(
    ("given", "heads", "told"),
    [
        ([], [], ["no images"]),
        ([BROKEN], [], ["1 image skipped:", "the image c.png can't be decoded: it is <empty>"]),
        ([Prediction("x", ("cat",), (1.0,), (0,))], ["image", "class", "probability"], []),
    ],
)
def test_short_lists(given: list[Prediction], heads: list[str], told: list[str]) -> None:
    html = Predictions(given)._repr_html_()
    assert rows_of(html)[:1] == ([heads] if heads else [])
    assert told_in(html) == told


def test_the_text_counts_the_classes() -> None:
    assert repr(Predictions([CAT, BROKEN, DOG, DOG])) == "Predictions(4 images: 2 dog, 1 cat, 1 skipped)"
    assert repr(Predictions([CAT])) == "Predictions(1 image: 1 cat)"
    assert repr(Predictions()) == "Predictions(0 images)"
    many = [Prediction(str(at), (f"class {at}",), (1.0,), (at,)) for at in range(7)]
    assert repr(Predictions(many)).endswith("1 class 4, 2 of 2 other classes)")


def test_it_is_a_list_whose_parts_show_themselves_too() -> None:
    made = Predictions([CAT, BROKEN, DOG])
    assert made == [CAT, BROKEN, DOG]
    assert (len(made), made[0], made[-1], [*made]) == (3, CAT, DOG, [CAT, BROKEN, DOG])
    assert isinstance(made[:2], Predictions)
    assert made[:2] == [CAT, BROKEN]


def test_a_skipped_image_has_no_label() -> None:
    for what in ("label", "probability"):
        with pytest.raises(ValueError, match=r"a skipped image has no classes, only an `error`: the image `c\.png` "):
            getattr(BROKEN, what)

"""What a notebook shows of a run: its results as a table, and its curves as SVG in the colors of the page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import attrs

from recipe.inference.run import Run
from recipe.inference.run_html import MOST_POINTS, html_of


def text_of(html: str) -> str:
    """Return the text of HTML that is well-formed XML, too."""
    return " ".join(ElementTree.fromstring(f"<div>{html}</div>").itertext())


def of_metrics(run: Run, lines: list[dict[str, object]]) -> str:
    """Return what is shown of a run with other metrics."""
    return html_of(run.summary, lines, run.program, run.classes.count, run.folder)


def line(kind: str, epoch: float, loss: float, top1: float = 0.5) -> dict[str, object]:
    return {"kind": kind, "step": 1, "epoch": epoch, "loss": loss, "top1": top1}


def test_it_shows_the_results_and_two_figures(trained: Run) -> None:
    shown = trained._repr_html_()
    text = text_of(shown)
    for value in (trained.program.plan.model, trained.digest, "finished", f"{trained.summary['top1']:.2%}"):
        assert value in text
    assert str(trained.folder) in text
    assert shown.count("<svg") == (2 if trained.summary["epochs"] > 1 else 1)
    assert not re.search("color:|#[0-9a-f]{3}", shown), "the page decides on colors, light or dark"


def test_text_from_outside_is_escaped(trained: Run) -> None:
    shown = attrs.evolve(trained, folder=Path("<script>alert(1)</script>"))
    # the folder has no metrics, so that only the table is left
    assert "&lt;script&gt;" in shown._repr_html_()
    assert "<script>" not in shown._repr_html_()


def test_losses_of_several_orders_of_magnitude_have_a_logarithmic_axis(trained: Run) -> None:
    wide = of_metrics(trained, [line("train", n / 10, 0.001 * 3.0**n) for n in range(1, 10)])
    assert "loss: 0.003 to 19.68, logarithmic; training in gray" in text_of(wide)
    assert "logarithmic" not in of_metrics(trained, [line("train", n / 10, 1.0 + n) for n in range(1, 10)])


def test_a_long_curve_has_few_points_and_values_that_are_not_finite_are_left_out(trained: Run) -> None:
    lines = [line("train", n / 100, float("nan") if n == 7 else 1.0 + n) for n in range(5_000)]
    (points,) = re.findall(r'points="([^"]+)"', of_metrics(trained, lines).partition("held-out</title>")[0])[:1]
    assert 100 < len(points.split()) <= MOST_POINTS
    assert "nan" not in points


def test_a_run_without_metrics_has_only_the_table(trained: Run) -> None:
    assert "<svg" not in of_metrics(trained, [])

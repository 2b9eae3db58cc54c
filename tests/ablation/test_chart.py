"""Labels of rows are plain text in every format, and a chart that can't be drawn takes nothing with it."""

from __future__ import annotations

import csv
import io
import json
import warnings
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from recipe.ablation.report import chart
from tests.ablation.helpers import TABLE, MadeUp, made
from tests.ablation.test_table import A, B, line, table

LABELS = [
    "data folder $x", "$", "$$", "$\\frac{a}{b$", "a_b^c", "% & # ~", "\\", "new\nline", "\x1b[31mred\x07",
    "<script>&amp;", "|", "`", "\u202eabc", "数字 é 𝕏", "x" * 400, "", "\udcff", "{x}", "None",
]  # fmt: skip


@pytest.mark.usefixtures("unhurried")
def test_any_label_is_drawn_as_it_is(tmp_path: Path) -> None:
    shown = table(line("baseline", B), *(line(label, A, 0) for label in LABELS))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert chart.write(shown, tmp_path) == ""
    texts = ["".join(element.itertext()).strip() for element in ET.parse(tmp_path / "chart.svg").findall(".//{*}text")]
    plain = [label for label in LABELS if label and label.isprintable() and len(label) < 50]
    assert [text for text in texts if text in plain] == plain
    assert "baseline" in texts
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("label", LABELS)
def test_any_label_is_one_cell_of_each_table(label: str) -> None:
    shown = table(line("baseline", B), line(label, A, 0, note=label), line("other", [None] * 4, 1))
    rows = shown.to_markdown().split("\n")
    assert [row.replace("\\|", "").count("|") for row in rows[4:9]] == [12] * 5
    for unsafe in ("<script>", "\x1b", "\u202e", "\udcff"):
        assert unsafe not in shown.to_markdown().replace("\\<", "")
        assert unsafe not in shown.to_text().replace("<script>", "")
    assert all(row.isprintable() for form in (shown.to_text(), shown.to_markdown()) for row in form.split("\n"))
    assert json.loads(shown.to_json())["rows"][1]["label"] == label
    assert shown.to_json().isascii()
    records = list(csv.DictReader(io.StringIO(shown.to_csv())))
    assert len(records) == 12
    assert all(value.isprintable() for record in records for value in record.values())


@pytest.mark.usefixtures("unhurried")
def test_a_chart_that_cannot_be_drawn_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = made(tmp_path / "x")
    study.run(launcher=MadeUp())
    assert sorted(TABLE) == sorted(file.name for file in (tmp_path / "x").iterdir() if file.name in TABLE)

    def fail(*_: object) -> None:
        raise ValueError("no picture")

    monkeypatch.setattr(chart, "_draw", fail)
    told = list[str]()
    assert len(study.write(told.append).lines) == 4
    assert told == ["warning: chart.svg and chart.png can't be drawn: ValueError: no picture"]
    assert not (tmp_path / "x" / "chart.svg").exists(), "an earlier chart is of another table"
    assert json.loads((tmp_path / "x" / "table.json").read_text())["rows"]

"""Which cells run, how often, and what happens to those that fail. The runs are simulated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

import recipe
from recipe.ablation.cells import execute as execution
from recipe.ablation.cells.execute import Watcher
from recipe.ablation.cells.launchers import Workers
from recipe.ablation.cells.store import prepare
from recipe.base import signals
from recipe.base.caller import commanding
from recipe.base.errors import RecipeError, fail
from recipe.base.signals import Interrupted
from recipe.devices import choice
from recipe.plugins.vocabulary import Vocabulary
from tests.ablation.helpers import PLUGIN, TABLE, TEXT, MadeUp, execute, made, study


@pytest.mark.usefixtures("unhurried")
def test_every_cell_is_run_once_and_all_rows_of_a_seed_come_before_the_next(tmp_path: Path) -> None:
    study, launcher = made(tmp_path / "x"), MadeUp()
    execute(study, launcher)
    assert launcher.ran == [task.name for task in study.tasks]
    assert [task.seed for task in study.tasks] == [0] * 4 + [1] * 4
    table = study.write()
    assert [len(line.results) for line in table.lines] == [2, 2, 2, 2]
    assert table.lines[0].seconds_per_epoch == 3.0, "48 images at the median of each epoch's speeds"
    assert sorted((*TABLE, "ablation.json")) == sorted(
        path.name for path in (tmp_path / "x").iterdir() if path.is_file()
    )
    assert json.loads((tmp_path / "x" / "table.json").read_text())["rows"][0]["cells"][0]["status"] == "finished"


@pytest.mark.usefixtures("unhurried")
def test_the_table_and_its_chart_are_the_same_to_the_byte(tmp_path: Path) -> None:
    study = made(tmp_path / "x")
    execute(study, MadeUp())
    study.write()
    before = {name: (tmp_path / "x" / name).read_bytes() for name in TABLE}
    study.write()
    assert {name: (tmp_path / "x" / name).read_bytes() for name in TABLE} == before


def test_rows_that_are_the_same_recipe_share_their_cells(tmp_path: Path) -> None:
    study, launcher = made(tmp_path / "x", mode="add", over=("batch 8", "tweak B"), seeds=1), MadeUp()
    assert [line.note for line in study.outline.lines] == ["", "same recipe", "already applied"]
    execute(study, launcher)
    assert len(launcher.ran) == 2
    assert [len(line.results) for line in study.table().lines] == [1, 1, 1]


def test_finished_cells_are_not_run_again_and_more_seeds_run_only_new_cells(tmp_path: Path) -> None:
    execute(made(tmp_path / "x"), MadeUp())
    again, more = MadeUp(), MadeUp()
    execute(made(tmp_path / "x"), again)
    assert again.ran == []
    study = made(tmp_path / "x", seeds=3)
    execute(study, more)
    assert more.ran == [task.name for task in study.tasks if task.seed == 2]


def test_another_trick_or_mode_runs_only_new_cells(tmp_path: Path) -> None:
    execute(made(tmp_path / "x", over=("tweak D",)), MadeUp())
    more, other = MadeUp(), MadeUp()
    execute(made(tmp_path / "x", over=("tweak D", "tweak C")), more)
    assert len(more.ran) == 2, "one of three rows is new, with each seed"
    study = made(tmp_path / "x", over=("tweak D", "tweak C"), mode="add")
    execute(study, other)
    assert len(other.ran) == 2
    assert len(study.write().lines) == 3, "the table shows the last ablation"


def test_ablations_without_a_name_share_their_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stacked, dropped, launcher = made(None, mode="stack"), made(None, mode="drop"), MadeUp()  # type: ignore[arg-type]
    assert stacked.folder != dropped.folder
    execute(stacked, MadeUp())
    execute(dropped, launcher)
    full, *without = [row[0].name for row in dropped.cells]
    assert full not in launcher.ran
    assert {*without} & {*launcher.ran}


def test_the_checkpoints_of_a_finished_run_are_deleted(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    diverges, *others = study.tasks
    execute(study, MadeUp({diverges.name: (3, "error[E112]: training diverged at step 4")}))
    MadeUp.write(diverges.run, 0.5)
    assert all(not (task.run / "checkpoints").exists() for task in others)
    assert (diverges.run / "checkpoints").exists(), "a diverged run keeps its last good checkpoint"


def test_a_diverged_cell_is_reported_and_not_run_again(tmp_path: Path) -> None:
    study = made(tmp_path / "x")
    name = study.tasks[1].name
    execute(study, MadeUp({name: (3, "error[E112]: training diverged at step 4")}))
    table = study.table()
    assert table.lines[1].values[0] is None
    assert "1 of 2 diverged" in table.to_text()
    again = MadeUp()
    execute(study, again)
    assert again.ran == []


def test_a_failed_cell_is_reported_at_the_end_and_stops_only_its_row(tmp_path: Path) -> None:
    study = made(tmp_path / "x")
    failing = study.tasks[2].name
    launcher = MadeUp({failing: (2, fail("E115", "`cpu` has too little memory", help="x"))})
    with pytest.raises(RecipeError, match=r"E126.*`\+ tweak D`, seed 0, failed: `cpu` has too little memory"):
        execute(study, launcher)
    later = study.cells[2][1].name
    assert launcher.ran == [task.name for task in study.tasks if task.name != later], "the row's next seed is not tried"
    assert "2 of 2 missing" in study.table().cells()[2][6]
    again = MadeUp()
    execute(study, again)
    assert again.ran == [failing, later]


def test_the_table_shows_the_other_cells_if_some_fail(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    launcher = MadeUp({study.tasks[1].name: (1, "odd")})
    with pytest.raises(recipe.Unfinished, match="E126") as caught:
        study.run(launcher=launcher)
    assert caught.value.table is not None
    assert [len(line.results) for line in caught.value.table.lines] == [1, 0, 1, 1]


@pytest.mark.parametrize(
    "wrong", [{"top1": float("nan")}, {"top1": 7}, {"loss": float("inf")}, {"top1": "0.5"}, {"digest": "0" * 16}]
)
def test_an_invalid_result_or_one_of_another_recipe_is_ignored(wrong: dict[str, object], tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    execute(study, MadeUp())
    summary = study.tasks[0].run / "summary.json"
    summary.write_text(json.dumps(json.loads(summary.read_text()) | wrong))
    again = MadeUp()
    execute(study, again)
    assert again.ran == [study.tasks[0].name]


def test_all_failures_are_reported(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    with pytest.raises(RecipeError) as caught:
        execute(study, MadeUp({task.name: (1, f"odd {task.seed}") for task in study.tasks[1:3]}))
    assert [one.message.split("`")[1] for one in caught.value.diagnostics] == [task.label for task in study.tasks[1:3]]


def test_a_cell_that_ends_without_a_result_has_failed(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    launcher = MadeUp({study.tasks[0].name: (-9, "training")})
    with pytest.raises(RecipeError, match=r"E126.*killed by signal 9, by a user or because memory ran out"):
        execute(study, launcher)


def test_a_cell_waits_for_a_folder_that_another_process_writes_to(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    name = study.tasks[0].name
    launcher = MadeUp({name: (2, fail("E116", "another run writes to it"))})
    execute(study, launcher)
    assert launcher.ran.count(name) == 2
    assert len(study.table().lines[0].results) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_runs_and_explains_how_to_resume(tmp_path: Path, number: signal.Signals) -> None:
    study = made(tmp_path / "x")
    running = study.tasks[1].name
    launcher = MadeUp({running: (-1, "")})

    @attrs.define
    class Impatient(Watcher):
        def look(self, under_way: Any) -> None:
            if running in under_way:
                os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match="again to resume the ablation") as caught:
        execute(study, launcher, watcher=Impatient())
    assert caught.value.number == number
    assert launcher.handles[-1].stopped
    again = MadeUp()
    execute(study, again)
    assert again.ran == [task.name for task in study.tasks[1:]]


def test_a_second_signal_exits_at_once_and_restores_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str | int] = []

    @attrs.define
    class Display(Watcher):
        def stop(self) -> None:
            ended.append("stopped")

    monkeypatch.setattr(signals, "exit_now", ended.append)
    study = made(tmp_path / "x")
    one = execution.Execution(study.folder, MadeUp(), 1, (None,), None, (), Display())
    one.interrupt(signal.SIGINT)
    one.interrupt(signal.SIGINT)
    assert ended == [], "a signal that comes so soon counts as the same one"
    one.interrupt.since -= 2
    with commanding():
        one.interrupt(signal.SIGTERM)
    assert ended == ["stopped", 143]
    with pytest.raises(Interrupted, match="again to resume the ablation in"):  # in a notebook
        one.interrupt(signal.SIGTERM)


def test_an_internal_error_of_a_cell_is_reported(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    with pytest.raises(RecipeError, match=r"E126.*failed: ValueError: odd"):
        execute(study, MadeUp({study.tasks[0].name: (70, ValueError("odd"))}))


def test_a_stopped_run_is_resumed(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    launcher = MadeUp({study.tasks[0].name: (143, "stopped")})
    execute(study, launcher)
    assert launcher.ran.count(study.tasks[0].name) == 2


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("ended", [Interrupted(2, Path(), 1), fail("E126", "a run failed"), OSError("no more memory")])
def test_an_ablation_that_ends_early_writes_its_table(
    ended: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = made(tmp_path / "x")
    execute(made(tmp_path / "x", seeds=1), MadeUp())

    def run(self: execution.Execution, tasks: object) -> None:
        raise ended

    monkeypatch.setattr(execution.Execution, "run", run)
    with pytest.raises(type(ended)):
        study.run()
    assert "1 of 2 missing" in (tmp_path / "x/table.md").read_text()
    assert all((tmp_path / "x" / name).exists() for name in TABLE)


def test_editing_a_plugin_stops_cells_that_have_not_started(tmp_path: Path) -> None:
    file = tmp_path / "dim.py"
    file.write_text(PLUGIN.replace("PART", "0.75"))
    words = Vocabulary.installed([file])
    found = study(TEXT, "augment dim", mode="add", over=("loss smooth",), seeds=1, out=tmp_path / "x", plugins=words)
    file.write_text(PLUGIN.replace("PART", "0.8"))
    launcher = MadeUp()
    with pytest.raises(RecipeError, match=r"E126.*dim.*has changed since this ablation started"):
        execute(found, launcher)
    assert launcher.ran == []


def test_jobs_share_the_cores_and_alternate_between_devices(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    running = {task.name: (-1, "") for task in study.tasks[:2]}
    launcher = MadeUp(dict(running))
    prepare(study.folder, study.tasks[0].folder, {})
    most = [0]

    @attrs.define
    class Counting(Watcher):
        def look(self, under_way: Any) -> None:
            most[0] = max(most[0], len(under_way))
            if len(under_way) == 2:
                for handle in launcher.handles:
                    handle.status = 143 if handle.status is None else handle.status

    one = execution.Execution(study.folder, launcher, 2, ("cuda:0", "cuda:1"), 4, ("/a/plugin.py",), Counting())
    one.run(study.tasks)
    assert most[0] == 2
    assert [command[command.index("--device") + 1] for command in launcher.commands[:2]] == ["cuda:0", "cuda:1"]
    assert launcher.environments[0]["OMP_NUM_THREADS"] == "4"
    assert launcher.commands[0][-2:] == ["--plugin", "/a/plugin.py"]
    assert all("--skip-test" in command for command in launcher.commands)  # the test chooses no row


@pytest.mark.parametrize(("jobs", "user", "threads"), [(1, None, None), (2, None, "4"), (2, "3", None)])
def test_jobs_on_this_machine_share_its_cores(
    jobs: int, user: str | None, threads: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = MadeUp()
    monkeypatch.setattr(choice, "cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if user:
        monkeypatch.setenv("OMP_NUM_THREADS", user)
    study = made(tmp_path / "x", seeds=1)
    request = attrs.evolve(study.request, workers=Workers(jobs=jobs))
    attrs.evolve(study, request=request).run(launcher=launcher)
    assert {environment.get("OMP_NUM_THREADS") for environment in launcher.environments} == {threads}


def test_a_cell_that_is_stopped_every_time_fails(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    name = study.tasks[0].name
    launcher = MadeUp({name: (143, "stopped")}, again=True)
    with pytest.raises(RecipeError, match=r"E126.*exited with code 143 without reporting a reason"):
        execute(study, launcher)
    assert launcher.ran.count(name) == 3


def test_a_cell_that_another_process_trains_is_not_run(tmp_path: Path) -> None:
    study, said = made(tmp_path / "x", seeds=1), list[str]()
    prepare(study.folder, study.tasks[0].folder, {})
    cell = study.tasks[0].run
    cell.mkdir(parents=True)
    holder = "import fcntl, sys; f = open(sys.argv[1], 'a+'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True);"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{holder} f.write('process 7'); f.flush(); input()", str(cell / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"

    @attrs.define
    class Finishing(Watcher):
        """Let the other process finish the cell once all other cells have ended."""

        def end(self, task: Any, cell_of: Any) -> None:
            if len(launcher.ran) == 2:
                MadeUp.write(cell, 0.5)
                process.communicate("\n")

        def note(self, text: str) -> None:
            said.append(text)

    launcher = MadeUp()
    execute(study, launcher, watcher=Finishing())
    assert study.tasks[0].name not in launcher.ran
    assert len(said) == 1
    assert "waiting for `baseline`, seed 0, which " in said[0]
    assert study.table().lines[0].values == [0.5]


def test_a_cell_with_damaged_files_has_no_result(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    execute(study, MadeUp())
    first, second = (task.run for task in study.tasks[:2])
    (first / "metrics.jsonl").write_bytes(b'\xff\n5\n{}\n{"kind": "train", "epoch": "x"}\n')
    (second / "summary.json").write_text(json.dumps({"digest": second.name}))
    assert study.table().lines[0].seconds_per_epoch is None
    assert study.table().lines[1].values == [None], "the cell will be run again"
    assert study.tasks[0].epoch() is None


def test_another_precision_or_environment_is_noted(tmp_path: Path) -> None:
    study = made(tmp_path / "x", "precision fp16", seeds=2, over=("tweak D",))
    execute(study, MadeUp(precision="fp32"))
    assert study.table().lines[1].note == "in fp32 instead of fp16"
    summary = study.tasks[1].run / "summary.json"
    other = {"precision": "fp16", "device": "cuda:0", "micro": 4}
    summary.write_text(json.dumps(json.loads(summary.read_text()) | other))
    environment = study.tasks[1].run / "environment.json"
    environment.write_text(json.dumps(json.loads(environment.read_text()) | {"device_name": "Tensor 3000"}))
    table = study.table()
    assert table.lines[1].note == "1 of 2 in fp32 instead of fp16"
    ways = "recipe-compiler 0.1.0, torch 2.11.0, Tensor 3000 (cuda), micro-batches of 4; "
    ways += "recipe-compiler 0.1.0, torch 2.11.0, cpu, 2 threads"
    assert f"Runs from different environments may not agree to the last bit: {ways}." in table.to_text()


def test_a_cell_that_ended_early_is_resumed(tmp_path: Path) -> None:
    study, launcher = made(tmp_path / "x", seeds=1), MadeUp()
    execute(study, launcher)
    first = study.tasks[0]
    path = first.run / "summary.json"
    path.write_text(path.read_text().replace('"finished"', '"ended early"'))
    assert first.cell().status == "missing"
    execute(study, launcher)
    assert launcher.ran.count(first.name) == 2
    assert first.cell().status == "finished"

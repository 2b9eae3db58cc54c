"""Which cells are run, how often, and what becomes of those that fail; the runs themselves are made up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import pytest

from recipe.ablation import execute as execution
from recipe.ablation.api import run_study
from recipe.ablation.execute import Watcher
from recipe.ablation.launchers import Ray, Slurm, _number, call, launcher_of
from recipe.ablation.study import study
from recipe.ablation.workers import Workers
from recipe.cache import code_of
from recipe.diagnostics import RecipeError, fail
from recipe.registry import Vocabulary
from recipe.signals import Interrupted
from tests.ablation.helpers import TABLE, MadeUp, execute, made

PLUGIN = '''"""augment dim"""
from recipe.api import Trick, trick

@trick("augment dim", writes=("inputs",))
class Dim(Trick):
    """Take light away."""

    def augment(self, images, draws):
        return images * PART
'''


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "POLL", 0.001)
    monkeypatch.setattr(execution, "BUSY", 0.002)


def test_every_cell_is_run_once_and_all_rows_of_a_seed_come_before_the_next(tmp_path: Path) -> None:
    study, launcher = made(tmp_path / "x"), MadeUp()
    execute(study, launcher)
    assert launcher.ran == [task.digest for task in study.tasks]
    assert [task.seed for task in study.tasks] == [0] * 4 + [1] * 4
    table = study.write()
    assert [len(line.found) for line in table.lines] == [2, 2, 2, 2]
    assert table.lines[0].seconds_per_epoch == 3.0, "48 images at the median of each epoch's speeds"
    assert sorted((*TABLE, "ablation.json")) == sorted(
        path.name for path in (tmp_path / "x").iterdir() if path.is_file()
    )
    assert json.loads((tmp_path / "x" / "table.json").read_text())["rows"][0]["cells"][0]["status"] == "finished"


def test_the_table_and_its_chart_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    study = made(tmp_path / "x")
    execute(study, MadeUp())
    study.write()
    before = {name: (tmp_path / "x" / name).read_bytes() for name in TABLE}
    study.write()
    assert {name: (tmp_path / "x" / name).read_bytes() for name in TABLE} == before


def test_rows_that_are_the_same_recipe_share_their_cells(tmp_path: Path) -> None:
    study, launcher = made(tmp_path / "x", mode="add", over=("batch 8", "tweak B"), seeds=1), MadeUp()
    assert study.notes == ("", "the same recipe", "already so")
    execute(study, launcher)
    assert len(launcher.ran) == 2
    assert [len(line.found) for line in study.table().lines] == [1, 1, 1]


def test_what_is_there_is_not_run_again_and_more_seeds_run_only_those(tmp_path: Path) -> None:
    execute(made(tmp_path / "x"), MadeUp())
    again, more = MadeUp(), MadeUp()
    execute(made(tmp_path / "x"), again)
    assert again.ran == []
    study = made(tmp_path / "x", seeds=3)
    execute(study, more)
    assert more.ran == [task.digest for task in study.tasks if task.seed == 2]


def test_the_default_folder_is_that_of_the_recipe_whatever_the_seeds(tmp_path: Path) -> None:
    folders = {made(None, seeds=seeds).home.folder for seeds in (1, 4)}  # type: ignore[arg-type]
    folders |= {made(None, "lr 0.1", seeds=1).home.folder}  # type: ignore[arg-type]
    assert len(folders) == 2
    assert all(folder.parts[0] == "ablations" for folder in folders)


def test_a_folder_is_that_of_one_ablation(tmp_path: Path) -> None:
    execute(made(tmp_path / "x"), MadeUp())
    for words in ({"mode": "drop"}, {"over": ("tweak D",)}):
        with pytest.raises(RecipeError, match=r"E113.*another recipe, mode, rows or code"):
            made(tmp_path / "x", **words)  # type: ignore[arg-type]
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "letter.txt").write_text("precious")
    with pytest.raises(RecipeError, match=r"E113.*other files"):
        made(tmp_path / "y")


def test_a_cell_that_diverged_is_told_and_not_run_again(tmp_path: Path) -> None:
    study = made(tmp_path / "x")
    digest = study.tasks[1].digest
    execute(study, MadeUp({digest: (3, "error[E112]: the training diverged at step 4")}))
    table = study.table()
    assert table.lines[1].values[0] is None
    assert "1 of 2 diverged" in table.to_text()
    again = MadeUp()
    execute(study, again)
    assert again.ran == []


def test_a_cell_that_fails_ends_it_with_the_reason_and_keeps_the_rest(tmp_path: Path) -> None:
    study = made(tmp_path / "x")
    digest = study.tasks[2].digest
    with pytest.raises(RecipeError, match=r"E126.*`\+ tweak D`, seed 0, failed: `cpu` has too little memory"):
        execute(study, MadeUp({digest: (2, "training\nerror[E115]: `cpu` has too little memory\n  = help: x\n")}))
    again = MadeUp()
    execute(study, again)
    assert again.ran == [task.digest for task in study.tasks[2:]]


def test_a_cell_that_ends_without_a_result_is_a_failure(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    launcher = MadeUp({study.tasks[0].digest: (-9, "training")})
    with pytest.raises(RecipeError, match=r"E126.*killed by signal 9, by somebody or for want of memory"):
        execute(study, launcher)


def test_a_folder_that_another_process_writes_to_is_waited_for(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    digest = study.tasks[0].digest
    launcher = MadeUp({digest: (2, "error[E116]: another run writes to it")})
    execute(study, launcher)
    assert launcher.ran.count(digest) == 2
    assert len(study.table().lines[0].found) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_what_runs_and_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    study = made(tmp_path / "x")
    running = study.tasks[1].digest
    launcher = MadeUp({running: (-1, "")})

    @attrs.define
    class Impatient(Watcher):
        def look(self, under_way: Any) -> None:
            if running in under_way:
                os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match="the same command goes on") as caught:
        execute(study, launcher, watcher=Impatient())
    assert caught.value.number == number
    assert launcher.handles[-1].stopped
    again = MadeUp()
    execute(study, again)
    assert again.ran == [task.digest for task in study.tasks[1:]]


def test_a_second_signal_ends_it_at_once_and_gives_the_terminal_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str | int] = []

    @attrs.define
    class Display(Watcher):
        def stop(self) -> None:
            ended.append("stopped")

    monkeypatch.setattr(execution.os, "_exit", ended.append)
    study = made(tmp_path / "x")
    one = execution.Execution(study.home, MadeUp(), 1, (None,), None, (), Display())
    one._note(signal.SIGINT, None)
    one._note(signal.SIGINT, None)
    assert ended == [], "so soon it is the same one"
    one.since -= 2
    one._note(signal.SIGTERM, None)
    assert ended == ["stopped", 143]


def test_an_internal_error_of_a_cell_is_told(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    said = "training\ninternal error: ValueError: odd\n  RECIPE_DEBUG=1 shows where it comes from\n"
    with pytest.raises(RecipeError, match=r"E126.*failed: ValueError: odd"):
        execute(study, MadeUp({study.tasks[0].digest: (70, said)}))


def test_a_run_that_somebody_stopped_goes_on(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    launcher = MadeUp({study.tasks[0].digest: (143, "stopped")})
    execute(study, launcher)
    assert launcher.ran.count(study.tasks[0].digest) == 2


@pytest.mark.parametrize("ended", [Interrupted(2, Path(), 1), fail("E126", "a run failed")])
def test_what_there_is_is_written_when_it_ends_early(
    ended: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = made(tmp_path / "x")
    execute(made(tmp_path / "x", seeds=1), MadeUp())

    def run(self: execution.Execution, tasks: object) -> None:
        raise ended

    monkeypatch.setattr(execution.Execution, "run", run)
    with pytest.raises(type(ended)):
        run_study(study)
    assert "1 of 2 missing" in (tmp_path / "x/table.md").read_text()
    assert all((tmp_path / "x" / name).exists() for name in TABLE)


def test_other_code_of_a_plugin_is_another_ablation(tmp_path: Path) -> None:
    file, folders = tmp_path / "dim.py", set()
    for part in ("0.5", "0.5", "0.25"):
        code_of.cache_clear()
        file.write_text(PLUGIN.replace("PART", part))
        words = Vocabulary.installed([file])
        folders.add(study("base resnet18; augment dim", mode="drop", vocabulary=words).home.folder)
    assert len(folders) == 2


def test_jobs_share_the_cores_and_take_devices_in_turn(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    running = {task.digest: (-1, "") for task in study.tasks[:2]}
    launcher = MadeUp(dict(running))
    study.home.prepare(study.identity)
    most = [0]

    @attrs.define
    class Counting(Watcher):
        def look(self, under_way: Any) -> None:
            most[0] = max(most[0], len(under_way))
            if len(under_way) == 2:
                for handle in launcher.handles:
                    handle.status = 143 if handle.status is None else handle.status

    one = execution.Execution(study.home, launcher, 2, ("cuda:0", "cuda:1"), 4, ("/a/plugin.py",), Counting())
    one.run(study.tasks)
    assert most[0] == 2
    assert [command[command.index("--device") + 1] for command in launcher.commands[:2]] == ["cuda:0", "cuda:1"]
    assert launcher.environments[0] == {"OMP_NUM_THREADS": "4"}
    assert launcher.commands[0][-2:] == ["--plugin", "/a/plugin.py"]


@pytest.mark.parametrize(("jobs", "user", "threads"), [(1, None, None), (2, None, "4"), (2, "3", None)])
def test_jobs_on_this_machine_share_its_cores(
    jobs: int, user: str | None, threads: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = MadeUp()
    monkeypatch.setattr("recipe.devices.cores", lambda: 8)
    monkeypatch.setattr("recipe.ablation.api.launcher_of", lambda name, options, folder: launcher)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if user:
        monkeypatch.setenv("OMP_NUM_THREADS", user)
    run_study(made(tmp_path / "x", seeds=1), Workers(jobs=jobs))
    assert {environment.get("OMP_NUM_THREADS") for environment in launcher.environments} == {threads}


def test_a_cell_that_is_always_stopped_fails(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    digest = study.tasks[0].digest
    launcher = MadeUp({digest: (143, "stopped")}, again=True)
    with pytest.raises(RecipeError, match=r"E126.*exit status 143; stopped"):
        execute(study, launcher)
    assert launcher.ran.count(digest) == 3


def test_a_cell_that_another_process_trains_is_left_to_it(tmp_path: Path) -> None:
    study, said = made(tmp_path / "x", seeds=1), list[str]()
    study.home.prepare(study.identity)
    cell = study.home.run(study.tasks[0].digest)
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
        """The other process finishes the cell when all others have ended."""

        def end(self, task: Any, cell_of: Any) -> None:
            if len(launcher.ran) == 2:
                MadeUp.write(cell, 0.5)
                process.communicate("\n")

        def note(self, text: str) -> None:
            said.append(text)

    launcher = MadeUp()
    execute(study, launcher, watcher=Finishing())
    assert study.tasks[0].digest not in launcher.ran
    assert len(said) == 1
    assert "waiting for `baseline`, seed 0, which " in said[0]
    assert study.table().lines[0].values == [0.5]


def test_damaged_files_of_a_cell_are_mended_by_its_run(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    execute(study, MadeUp())
    first, second = (study.home.run(task.digest) for task in study.tasks[:2])
    (first / "metrics.jsonl").write_bytes(b'\xff\n5\n{}\n{"kind": "train", "epoch": "x"}\n')
    (second / "summary.json").write_text(json.dumps({"digest": second.name}))
    assert study.table().lines[0].seconds_per_epoch is None
    assert study.table().lines[1].values == [None], "it is run again"
    assert study.home.epoch(first.name) is None


def test_what_was_computed_in_another_precision_is_told(tmp_path: Path) -> None:
    study = made(tmp_path / "x", "precision fp16", seeds=2, over=("tweak D",))
    execute(study, MadeUp(precision="fp32"))
    assert study.table().lines[1].note == "in fp32, for want of fp16"
    summary = study.home.run(study.tasks[1].digest) / "summary.json"
    summary.write_text(json.dumps(json.loads(summary.read_text()) | {"precision": "fp16", "device": "cuda:0"}))
    table = study.table()
    assert table.lines[1].note == "1 of 2 in fp32, for want of fp16"
    assert "Runs were made on cpu and cuda" in table.to_text()


def test_a_folder_that_was_hardly_begun_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / ".ablation.json.abc").write_text("{")
    launcher = MadeUp()
    execute(made(tmp_path / "x", seeds=1), launcher)
    assert launcher.ran


@pytest.mark.parametrize("out", ["file", ""])
def test_a_folder_that_can_not_be(out: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(RecipeError, match=r"E111|E113"):
        made(tmp_path / out if out else "")  # type: ignore[arg-type]


def test_all_rows_are_compiled_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        made(tmp_path / "x", "base vgg11; drop tweak D", over=("tweak C", "loss smooth", "init zero-gamma"), mode="add")
    said = [one.message for one in caught.value.diagnostics]
    assert [message.split("`")[1] for message in said] == ["+ tweak C", "+ init zero-gamma"]
    assert not (tmp_path / "x").exists()


# ---- launchers


def test_a_command_and_its_output(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "import os, sys; print(os.environ['MARK']); print('and', file=sys.stderr); sys.exit(3)"
    assert call([sys.executable, "-c", script], str(log), {"MARK": "here"}) == 3
    assert log.read_text().split() == ["here", "and"] or log.read_text().split() == ["and", "here"]


@pytest.mark.slow
def test_submitit_hands_commands_over_and_brings_their_status_back(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    launcher = Slurm.of({"timeout_min": "5"}, tmp_path, cluster="local")
    good = launcher.submit([sys.executable, "-c", "print('hello')"], tmp_path / "good", {})
    bad = launcher.submit([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "bad", {})
    while good.poll() is None or bad.poll() is None:
        time.sleep(0.1)
    assert (good.poll(), bad.poll()) == (0, 3)
    assert (tmp_path / "good").read_text() == "hello\n"


SAVES = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("saved", flush=True), sys.exit(143)))
print("up", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_ray_hands_commands_over_brings_their_status_back_and_lets_them_save(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    launcher = Ray.of({"num_cpus": "1"})
    try:
        bad = launcher.submit([sys.executable, "-c", "print('hello'); raise SystemExit(3)"], tmp_path / "bad", {})
        while bad.poll() is None:
            time.sleep(0.1)
        assert (bad.poll(), (tmp_path / "bad").read_text()) == (3, "hello\n")
        long = launcher.submit([sys.executable, "-c", SAVES], tmp_path / "long", {})
        while not (tmp_path / "long").exists() or "up" not in (tmp_path / "long").read_text():
            time.sleep(0.1)
        long.stop()
        while long.poll() is None:
            time.sleep(0.1)
        assert (long.poll(), (tmp_path / "long").read_text()) == (143, "up\nsaved\n")
    finally:
        ray.shutdown()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("cloud", {}, "there is no launcher `cloud`"),
        ("local", {"speed": "1"}, "the launcher `local` has no option `speed`"),
    ],
)
def test_launchers_that_can_not_be(name: str, options: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said):
        launcher_of(name, options, tmp_path)


@pytest.mark.parametrize(("name", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_package_that_is_missing_is_named(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RecipeError, match=rf"E125.*{package}(.|\n)*recipe-compiler\[{name}\]"):
        launcher_of(name, {}, tmp_path)


def test_images_that_are_not_there_are_told_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="E070"):
        made(tmp_path / "x", over=("loss smooth", 'data folder "/nowhere/at/all"'), mode="add")


def test_a_trick_that_gives_way_is_told(tmp_path: Path) -> None:
    study = made(tmp_path / "x", over=("optimizer adamw", "optimizer lars"))
    assert study.notes == ("", "", "`optimizer adamw` gave way")


def test_epochs_are_studied_or_fitted(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"E127.*`epochs` is studied"):
        study("base resnet18; loss smooth", mode="add", over=("epochs 3",), budget="1h", out=tmp_path / "x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("120", 120),
        ("-1", -1),
        ("0.5", 0.5),
        ("0", 0),
        ("0123", "0123"),
        ("1_000", "1_000"),
        ("nan", "nan"),
        ("gpu", "gpu"),
    ],
)
def test_values_of_options_are_numbers_where_they_are_written_as_such(text: str, value: object) -> None:
    found = _number(text)
    assert (found, type(found)) == (value, type(value))

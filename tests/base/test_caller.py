"""Messages that ask a command's caller for options, and a program in Python for arguments."""

from __future__ import annotations

import pytest

from recipe.base.caller import another_folder, commanding, is_command, named, option, resuming

OPTIONS = [
    "--plugin",
    "a b.py",
    "--nproc",
    "2",
    "--skip-test",
    "--checkpoints",
    "3",
    "--max-time",
    "90s",
    "--log",
    "csv",
]


def test_an_option_is_an_argument_in_python() -> None:
    with commanding():
        assert (is_command(), option("--out"), option("--strict")) == (True, "--out", "--strict")
        assert (named("--max-time"), another_folder()) == ("`--max-time`", "choose another folder with --out")
    assert not is_command()
    assert (option("--plugin"), named("--max-time")) == ("`plugins=`", "`max_time`")
    assert another_folder() == "choose another folder with `out=`"
    assert [*map(option, ("--max-time", "--strict", "--resume"))] == ["`max_time=`", "`strict=True`", "`resume=True`"]


@pytest.mark.parametrize("folder", ["runs/x", "-x", "it's", 'a"b', "a\nb", "a\\b", "\udcff"])
def test_the_call_that_resumes_a_run_is_python(folder: str) -> None:
    call = resuming(folder, OPTIONS)
    assert call.isprintable()
    given = eval(call, {"recipe": _Recorder})
    assert given == (
        (folder,), {"resume": True, "plugins": ["a b.py"], "test": False, "checkpoints": 3, "max_time": "90s"}
    )  # fmt: skip


class _Recorder:
    @staticmethod
    def run(*arguments: object, **named: object) -> tuple[object, object]:
        return arguments, named


def test_a_schedule_of_steps_stays_text() -> None:
    assert resuming("x", ["--save-every", "500"]) == 'recipe.run("x", resume=True, save_every="500")'


def test_a_command_resumes_with_its_options() -> None:
    with commanding():
        assert resuming("-x", OPTIONS[2:4]) == "recipe run --resume=./-x --nproc 2"

"""Layers: a recipe is applied on top of its includes, and command-line statements on top of the recipe."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recipe.language.overlays import MAX_INCLUDED, MAX_INCLUDES
from tests.helpers import bind, command, diagnostics, errors


def files(folder: Path, **texts: str) -> Path:
    """Write recipes named by keyword, and return the path of the one called ``top``."""
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.recipe"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "top.recipe"


def words(plan: object) -> set[str]:
    return {use.word for use in plan.uses if use.origin.kind != "dialect"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("below", "above", "same"),
    [
        # The same trick: the later layer overrides all its values.
        ("batch 256", "batch 8", "batch 8"),
        ("lr 0.1 every=epoch", "lr 0.2", "lr 0.2"),
        ("lr warmup 5 cosine", "lr warmup 2", "lr warmup 2 cosine"),
        ("augment jitter hue=0.1", "augment jitter", "augment jitter"),
        # The same verb and an exclusive slot.
        ("lr cosine", "lr step 30", "lr step 30"),
        ("tweak A C", "tweak B", "tweak B C"),
        ("init xavier zero-gamma", "init kaiming", "init kaiming zero-gamma"),
        ("optimizer nag", "optimizer adamw", "optimizer adamw"),
        ("data fake", "data digits", "data digits"),
        # Tricks that combine are both kept.
        ("augment mixup", "augment cutmix", "augment mixup cutmix"),
        ("lr 0.1", "lr cosine", "lr 0.1 cosine"),
        ("loss smooth", "loss aux=0.3", "loss smooth; loss aux=0.3"),
        # Dropped tricks.
        ("augment mixup flip", "drop augment mixup", "augment flip"),
        ("augment mixup flip", "drop augment", ""),
        ("lr 0.5 warmup 5 cosine", "drop lr", ""),
        ("lr 0.5 warmup 5", "drop lr warmup", "lr 0.5"),
        ("tweak C D", "drop tweak C; tweak B", "tweak B D"),
        ("augment mixup 0.5", "drop augment mixup; augment mixup", "augment mixup"),
        # Dialects.
        ("dialect gluoncv", "dialect torchvision", "dialect torchvision"),
        ("dialect gluoncv", "batch 8", "dialect gluoncv; batch 8"),
    ],
)
def test_a_later_layer_overrides_what_it_restates(below: str, above: str, same: str, tmp_path: Path) -> None:
    alone = bind(f"base resnet50; {same}")
    assert bind(f"base resnet50; {below}", above) == alone
    top = files(tmp_path, below=f"base resnet50; {below}", top=f'include "below.recipe"\n{above}')
    assert bind(top) == alone
    last = files(tmp_path, below=f"base resnet50; {below}", top=f'{above}\ninclude "below.recipe"')
    assert bind(last) == alone, "the position of the include in the file must not matter"


def test_the_command_line_overrides_the_file_and_the_file_its_includes(tmp_path: Path) -> None:
    top = files(
        tmp_path,
        deep="base resnet18; batch 1; epochs 1; seed 1; ema 0.1",
        middle='include "deep.recipe"; batch 2; epochs 2; seed 2',
        top='include "middle.recipe"; batch 3; epochs 3',
    )
    plan = bind(top, "batch 4")
    assert (plan.training.batch, plan.training.epochs, plan.training.seed) == (4, 3, 2)
    assert plan.find("ema").values == {"decay": 0.1}  # type: ignore[union-attr]
    origins = {word: plan.find(word).origin for word in ("batch", "epochs", "seed", "ema")}  # type: ignore[union-attr]
    assert [origin.kind for origin in origins.values()] == ["override", "file", "file", "file"]
    places = [Path(str(origin)).name for origin in origins.values()]
    assert places == ["<statements>:1:1", "top.recipe:1:35", "middle.recipe:1:43", "deep.recipe:1:43"]


def test_the_second_of_two_includes_overrides_the_first(tmp_path: Path) -> None:
    top = files(
        tmp_path,
        one="base resnet18; batch 1; lr cosine",
        two="batch 2; lr step 3; dialect gluoncv",
        top='include "one.recipe"; include "two.recipe"',
    )
    plan = bind(top)
    assert plan.training.batch == 2
    assert plan.dialect == "gluoncv"
    assert words(plan) == {"base", "batch", "lr step"}


def test_a_file_may_be_included_twice_through_others(tmp_path: Path) -> None:
    top = files(
        tmp_path,
        root="base resnet18; batch 1",
        left='include "root.recipe"; lr cosine',
        right='include "root.recipe"; ema',
        top='include "left.recipe"; include "right.recipe"',
    )
    assert words(bind(top)) == {"base", "batch", "lr cosine", "ema"}


def test_includes_are_relative_to_the_including_file(tmp_path: Path) -> None:
    top = files(
        tmp_path,
        sub__one='include "two.recipe"; data folder "images"',
        sub__two="base resnet18",
        top='include "sub/one.recipe"',
    )
    use = bind(top).find("data folder")
    assert use is not None
    assert use.values["path"] == str(tmp_path / "sub" / "images")


def test_includes_may_go_up_within_the_tree(tmp_path: Path) -> None:
    top = files(tmp_path, root="base resnet18", sub__one='include "../root.recipe"', top='include "sub/one.recipe"')
    assert words(bind(top)) == {"base"}


def test_statements_on_the_command_line_may_include(tmp_path: Path) -> None:
    files(tmp_path, more="batch 8")
    assert bind("base resnet50", 'include "more.recipe"', folder=tmp_path).training.batch == 8


def test_a_symbolic_link_within_the_tree_is_followed(tmp_path: Path) -> None:
    top = files(tmp_path, real="base resnet18", top='include "link.recipe"')
    (tmp_path / "link.recipe").symlink_to("real.recipe")
    assert words(bind(top)) == {"base"}


# ---- errors


@pytest.mark.parametrize(
    ("texts", "code", "said"),
    [
        ({"top": 'include "none.recipe"'}, "E001", "does not exist"),
        ({"top": 'include "sub"', "sub__a": ""}, "E001", "is a folder"),
        ({"top": 'include "top.recipe"'}, "E041", "top.recipe → top.recipe"),
        ({"top": 'include "a.recipe"', "a": 'include "top.recipe"'}, "E041", "top.recipe → a.recipe → top.recipe"),
        ({"top": 'include "./sub/../top.recipe"', "sub__a": ""}, "E041", "circular include"),
        ({"top": 'include "a.recipe"', "a": 'include "b.recipe"', "b": 'include "a.recipe"'}, "E041", "a.recipe → b"),
        ({"top": 'include "../a.recipe"'}, "E042", "outside"),
        ({"top": 'include "/etc/passwd"'}, "E042", "outside"),
        ({"top": 'include "sub/a.recipe"', "sub__a": 'include "../../b.recipe"'}, "E042", "outside"),
        ({"top": 'include "a.recipe"', "a": "batch 0"}, "E024", "at least 1"),
        ({"top": 'include "a.recipe"', "a": "batch 5x"}, "E011", "not a number"),
    ],
)
def test_bad_includes(texts: dict[str, str], code: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    files(tmp_path, a="base resnet18", b="base resnet18")
    top = files(tmp_path / "tree", **{**texts, "top": f"base resnet18\n{texts['top']}"})
    (error,) = diagnostics(top)
    assert error.code == code
    assert said in error.message
    assert error.span is not None


def test_a_symbolic_link_out_of_the_tree_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("base resnet18")
    (tmp_path / "folder").mkdir()
    top = files(tmp_path / "tree", top='base resnet18\ninclude "link.recipe"\ninclude "folder/secret"')
    (tmp_path / "tree" / "link.recipe").symlink_to("../secret")
    (tmp_path / "tree" / "folder").symlink_to("..")
    assert errors(top) == ["E042", "E042"]


def test_circular_symbolic_links_are_an_error(tmp_path: Path) -> None:
    top = files(tmp_path, top='base resnet18\ninclude "loop.recipe"\nloss distill "loop.recipe"')
    (tmp_path / "loop.recipe").symlink_to("loop.recipe")
    assert errors(top) == ["E001", "E001"]


def test_a_pipe_is_rejected_without_waiting(tmp_path: Path) -> None:
    top = files(tmp_path, top='base resnet18\ninclude "pipe"\nloss distill "pipe"')
    os.mkfifo(tmp_path / "pipe")
    assert errors(top) == ["E001", "E001"]


def test_includes_are_limited_in_depth(tmp_path: Path) -> None:
    chain = {f"f{i}": f'include "f{i + 1}.recipe"' for i in range(1, MAX_INCLUDES)}
    top = files(tmp_path, top='include "f1.recipe"', **chain, **{f"f{MAX_INCLUDES}": "base resnet18"})
    assert errors(top) == []
    files(tmp_path, over='include "top.recipe"')
    (error,) = diagnostics(tmp_path / "over.recipe", "base resnet18")
    assert (error.code, error.message) == ("E043", f"includes are nested more than {MAX_INCLUDES} deep")


def test_includes_that_double_at_each_level_are_limited_in_number(tmp_path: Path) -> None:
    """Sixteen levels of two includes would be 65,536 files."""
    twice = {f"f{i}": f'include "f{i + 1}.recipe"; include "f{i + 1}.recipe"' for i in range(1, MAX_INCLUDES)}
    top = files(tmp_path, top='include "f1.recipe"', **twice, **{f"f{MAX_INCLUDES}": "base resnet18"})
    (error,) = diagnostics(top)
    assert (error.code, error.message) == ("E043", f"more than {MAX_INCLUDED - 1} files are included")


@pytest.mark.parametrize(
    ("below", "above", "code", "said"),
    [
        ("", "drop augment mixup", "E044", "no layer below states `augment mixup`"),
        ("augment flip", "drop augment mixup", "E044", "`augment flip`"),
        ("", "drop ema", "E044", "no layer below states `ema`"),
        ("augment mixup", "drop augment mixp", "E021", "did you mean `mixup`?"),
        ("augment mixup", "drop agment mixup", "E020", "did you mean `augment`?"),
        ("augment mixup", "drop include", "E020", "unknown verb `include`"),
        ("augment mixup", "drop augment mixup; drop augment mixup", "E044", "no layer below"),
        ("augment mixup", "augment mixup; augment mixup", "E028", "stated twice"),
        ("augment mixup", "batch 0", "E024", "at least 1"),
    ],
)
def test_bad_statements_on_the_command_line(below: str, above: str, code: str, said: str) -> None:
    (error,) = diagnostics(f"base resnet50; {below}", above)
    assert error.code == code
    assert said in f"{error.message}; {error.help}"
    assert error.span is not None
    assert error.span.source.kind == "override"


def test_a_file_can_only_drop_statements_of_layers_below() -> None:
    (error,) = diagnostics("base resnet50; augment mixup; drop augment mixup")
    assert (error.code, error.help) == ("E044", "there is no layer below")


def test_statements_override_what_a_dialect_implies() -> None:
    assert bind("base resnet50").find("init xavier") is not None
    assert bind("base resnet50; init kaiming").find("init xavier") is None
    assert bind("base resnet50; init zero-gamma").find("init xavier") is not None


def test_every_error_of_every_layer_is_reported(tmp_path: Path) -> None:
    top = files(tmp_path, a="bach 1; lr 5x", top='include "a.recipe"; epochs 0')
    assert errors(top, "lr nan; drop qqq") == ["E011", "E020", "E024", "E020", "E023"]


# ---- teachers


def test_a_teacher_is_bound_with_its_student(tmp_path: Path) -> None:
    top = files(tmp_path, top='base resnet18; loss distill "t.recipe"', t="base resnet50; tweak C")
    use = bind(top).find("loss distill")
    assert use is not None
    teacher = use.values["teacher"]
    assert teacher.path == str(tmp_path / "t.recipe")
    assert teacher.digest == bind(tmp_path / "t.recipe", data=True).digest


@pytest.mark.parametrize(
    ("texts", "codes"),
    [
        ({"top": 'loss distill "none.recipe"'}, ["E001"]),
        ({"top": 'loss distill "sub"', "sub__a": ""}, ["E001"]),
        ({"top": 'loss distill "top.recipe"'}, ["E061"]),
        ({"top": 'loss distill "t.recipe"', "t": "bse resnet18; batch 0"}, ["E060", "E020", "E024"]),
        ({"top": 'loss distill "t.recipe"', "t": "batch 8"}, ["E060", "E050"]),
        ({"top": 'loss distill "t.recipe"', "t": 'base resnet18; loss distill "top.recipe"'}, ["E060", "E061"]),
        ({"top": 'loss distill "t.recipe"', "t": 'base resnet18; loss distill "t.recipe"'}, ["E060", "E061"]),
        ({"top": 'loss distill "t.recipe"', "t": 'include "top.recipe"; batch 8'}, ["E060", "E061"]),
        ({"top": 'include "t.recipe"', "t": 'loss distill "top.recipe"'}, ["E061"]),
    ],
)
def test_bad_teachers(texts: dict[str, str], codes: list[str], tmp_path: Path) -> None:
    top = files(tmp_path, **{**texts, "top": f"base resnet18\n{texts['top']}"})
    assert errors(top) == codes


def test_teachers_of_teachers_are_limited_in_depth(tmp_path: Path) -> None:
    chain = {f"f{i}": f'base resnet18; loss distill "f{i + 1}.recipe"' for i in range(1, 6)}
    files(tmp_path, **chain, f6="base resnet18")
    assert errors(tmp_path / "f2.recipe") == []
    assert errors(tmp_path / "f1.recipe") == ["E060"] * 4 + ["E043"]


def test_a_bad_teacher_is_reported_once(tmp_path: Path) -> None:
    top = files(tmp_path, t="bach 8", top='base resnet18\nloss distill "t.recipe"\nloss distill "./t.recipe"')
    assert errors(top) == ["E028", "E060", "E020"], "only the statement that applies is read"


def test_a_teacher_that_is_dropped_or_replaced_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "below.recipe").write_text('base resnet18\nloss distill "gone.recipe"\n')
    (tmp_path / "teacher.recipe").write_text("base resnet34\n")
    above = tmp_path / "above.recipe"
    above.write_text('include "below.recipe"\n')
    assert [error.code for error in diagnostics(above)] == ["E001"]
    above.write_text('include "below.recipe"\ndrop loss\n')
    assert diagnostics(above) == ()
    above.write_text('include "below.recipe"\nloss distill "teacher.recipe"\n')
    assert diagnostics(above) == ()


# ---- files outside the folder

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("texts", "counts"),
    [
        ({"secret": f"{SECRET} 1\nlr {SECRET}\n"}, "1 × E020, 1 × E023"),
        ({"secret": f"root:{SECRET}:0:0:/root:/bin/sh\n{SECRET} =\n"}, "1 × E010, 1 × E011"),
        ({"secret": f"base resnet18; base resnet34  # {SECRET}"}, "1 × E028"),
        ({"secret": 'include "more.recipe"', "more": f"base resnet18; {SECRET}"}, "1 × E020"),
        ({"secret": 'base resnet18; loss distill "more.recipe"', "more": SECRET}, "1 × E060"),
    ],
)
@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_only_error_codes_of_a_teacher_outside_the_folder_are_shown(
    texts: dict[str, str], counts: str, form: str, tmp_path: Path
) -> None:
    files(tmp_path / "elsewhere", **texts)
    top = files(tmp_path / "own", top='base resnet18; loss distill "../elsewhere/secret.recipe"')
    (error,) = diagnostics(top)
    assert error.code == "E060"
    assert error.message == f"the teacher `../elsewhere/secret.recipe` has errors: {counts}"
    assert error.others == ()
    found = command("check", top, "--format", form)
    assert found.status == 2
    assert SECRET not in found.stdout + found.stderr


def test_a_link_out_of_the_folder_reveals_nothing(tmp_path: Path) -> None:
    secret = files(tmp_path / "elsewhere", top=SECRET)
    top = files(tmp_path / "own", top='base resnet18\nloss distill "link.recipe"\ninclude "link.recipe"')
    (top.parent / "link.recipe").symlink_to(secret)
    assert errors(top) == ["E042", "E060"]
    assert SECRET not in command("check", top).stdout


def test_the_folder_is_that_of_the_top_recipe(tmp_path: Path) -> None:
    """Includes and teachers may be in its subfolders and refer to files in other subfolders."""
    top = files(
        tmp_path,
        top='include "low/student.recipe"',
        low__student='base resnet18; loss distill "../high/t.recipe"',
        high__t='base resnet18; loss distill "../u.recipe"',
        u="bach 8",
    )
    assert errors(top) == ["E060", "E060", "E020"]
    assert errors(tmp_path / "low" / "student.recipe") == ["E060"]


def test_command_line_statements_show_files_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(tmp_path / "here", t="bach 8")
    monkeypatch.chdir(tmp_path / "here")
    assert errors("base resnet18", 'loss distill "t.recipe"') == ["E060", "E020"]
    monkeypatch.chdir(tmp_path)
    top = files(tmp_path / "own", top="base resnet18")
    assert errors(top, 'loss distill "here/t.recipe"') == ["E060", "E020"]

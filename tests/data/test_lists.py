"""Lists of paths and labels: what is read, how it is split, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import recipe
from recipe.base.errors import RecipeError
from recipe.data.listed import ListLayout
from recipe.data.parts import FileParts
from recipe.data.rows import sorted_classes
from recipe.data.several_labels import several
from recipe.data.splits import Split
from recipe.data.table import Columns
from recipe.showing.api import show_data
from tests.helpers import bind
from tests.inference.helpers import COLORS, paint
from tests.tricks.test_suggested import values


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def parts(path: Path | None, **stated: object) -> FileParts:
    """Return the parts of a list. ``stated`` are other fields than their defaults, and columns."""
    columns = Columns(**{name: stated.pop(name) for name in ("image", "label", "split", "column") if name in stated})  # type: ignore[arg-type]
    fields = dict.fromkeys(("folder", "val", "test", "group")) | {"seed": 0, "columns": columns} | stated
    return ListLayout(path=None if path is None else str(path), **fields).parts()  # type: ignore[arg-type]


def listed(path: Path, text: str, **stated: object) -> dict[str, str]:
    """Write a list, and return the label of each image by its path."""
    path.write_text(text, "utf-8")
    found = parts(path, **stated)
    assert found.external is not None
    each = zip(found.external.files, found.external.labels, strict=True)
    return {file.relative_to(path.parent).as_posix(): found.classes[label] for file, label in each}


def errors(path: Path, text: str, **stated: object) -> list[str]:
    """Write a list, and return what is wrong with it, without its path and the help."""
    path.write_text(text, "utf-8")
    with pytest.raises(RecipeError) as error:
        parts(path, **stated)
    assert {one.code for one in error.value.diagnostics} == {"E070"}
    return [one.message.replace(f"`{path}` ", "") for one in error.value.diagnostics]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "a.jpg", "my b.png", "sub/c, d.JPG")
    return tmp_path


# ---- what is read


@pytest.mark.parametrize(
    "text",
    [
        'image,label\na.jpg,cat\nmy b.png,dog\n"sub/c, d.JPG",cat\n',
        '\ufeffimage,label\r\na.jpg,cat\r\nmy b.png,dog\r\n"sub/c, d.JPG",cat\r\n\r\n',
        'Label;File Name\ncat;a.jpg\ndog;my b.png\n"cat";"sub/c, d.JPG"\n',
        "id\tbreed\na.jpg\tcat\nmy b.png\tdog\nsub/c, d.JPG\tcat\n",
        "image|label\n./a.jpg|cat\n my b.png | dog \nsub//c, d.JPG|cat\n,\n".replace(",\n", "|\n"),
        'a.jpg,cat\nmy b.png,dog\n"sub/c, d.JPG",cat\n',
        'cat,a.jpg\ndog,my b.png\ncat,"sub/c, d.JPG"\n',
        "a.jpg cat\nmy b.png dog\nsub/c, d.JPG cat\n",
        "image label\na.jpg cat\nmy b.png dog\nsub/c, d.JPG cat\n",
    ],
)
def test_the_usual_formats(root: Path, text: str) -> None:
    assert listed(root / "list.txt", text) == {"a.jpg": "cat", "my b.png": "dog", "sub/c, d.JPG": "cat"}


def test_an_ending_may_be_missing_if_one_file_fits(tmp_path: Path) -> None:
    write(tmp_path / "train", "01.jpg", "01.txt", "02.jpg", "02.png", "bare")
    text = "id,breed\n01,cat\nbare,dog\n"
    assert listed(tmp_path / "a.csv", text, folder=str(tmp_path / "train")) == {
        "train/01.jpg": "cat",
        "train/bare": "dog",
    }
    notes = parts(tmp_path / "a.csv", folder=str(tmp_path / "train")).notes
    assert "1 image without an ending in the list, such as `01` for `01.jpg`" in notes
    assert errors(tmp_path / "a.csv", text + "02,dog\n", folder=str(tmp_path / "train")) == [
        "has 1 line without the ending of the file, which fits several: line 4 (`02.jpg`, `02.png`)"
    ]


def test_columns_are_stated_or_have_usual_names(root: Path) -> None:
    text = "index,label,breed,image\n1,cat,tom,a.jpg\n2,dog,rex,my b.png\n"
    assert listed(root / "a.csv", text) == {"a.jpg": "cat", "my b.png": "dog"}
    assert listed(root / "a.csv", text, label="breed") == {"a.jpg": "tom", "my b.png": "rex"}
    assert parts(root / "a.csv").notes[:2] == (
        f"`{root / 'a.csv'}`: images in the column `image`, labels in `label`",
        f"`{root / 'a.csv'}`: columns that are not used: `breed`, `index`",
    )


def test_classes_are_sorted_by_value_if_they_are_numbers() -> None:
    assert sorted_classes(["10", "9", "-1"]) == ("-1", "9", "10")
    assert sorted_classes(["2.0", "10.0"]) == ("2.0", "10.0")
    assert sorted_classes(["10", "9", "a"]) == ("10", "9", "a")


# ---- parts


def many(root: Path, count: int = 40) -> Path:
    """Write a list with a part and a patient for each image."""
    lines = ["image,label,set,patient"]
    for number in range(count):
        write(root, f"{number}.png")
        part = ("train", "Training", "validation", "TEST")[number // 2 % 4]
        lines.append(f"{number}.png,{('cat', 'dog')[number % 2]},{part},p{number // 3}")
    (root / "list.csv").write_text("\n".join(lines))
    return root / "list.csv"


def names(found: FileParts) -> dict[str, set[str]]:
    every = {"train": found.train, "val": found.val, "test": found.test}
    return {part: {path.stem for path in images.files} for part, images in every.items() if images is not None}


def test_20_percent_are_held_out_by_the_hash_of_label_and_path(tmp_path: Path) -> None:
    found = parts(many(tmp_path))
    labels = [label for label in (0, 1) for _ in range(20)]
    order = [f"{number}.png" for label in (0, 1) for number in range(40) if number % 2 == label]
    expected = Split(val=0.2).divide(("cat", "dog"), labels, order)
    assert names(found)["val"] == {order[index].removesuffix(".png") for index in expected["val"]}
    held_out = len(found.val.files)
    said = f"held-out images: {held_out} of the 40 in `{tmp_path / 'list.csv'}`, 20 % by their names, since no others"
    assert found.notes[-1].startswith(said)
    assert found.external is not None
    assert len(found.external.files) == 40
    more = names(parts(many(tmp_path, 80)))
    assert {name for name in more["val"] if int(name) < 40} == names(found)["val"]
    assert names(parts(tmp_path / "list.csv", seed=1))["val"] != more["val"]


def test_a_column_may_say_which_images_are_for_what(tmp_path: Path) -> None:
    path = many(tmp_path)
    found = names(parts(path, split="set"))
    assert found["val"] == {str(number) for number in range(40) if number // 2 % 4 == 2}
    assert found["test"] == {str(number) for number in range(40) if number // 2 % 4 == 3}
    assert len(found["train"]) == 20
    shared = parts(path, split="set", val=0.3)
    assert names(shared)["test"] == found["test"]
    assert names(shared)["train"] | names(shared)["val"] == found["train"]
    assert f"10 images of `{path}` not used: held-out images, since `val=` is stated" in shared.notes


def test_parts_may_have_lists_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, *(f"{folder}/{number}.png" for folder in "abc" for number in range(4)))
    for folder in "abc":
        text = "\n".join(f"{number}.png {number % 2}" for number in range(4))
        (tmp_path / folder / "list.txt").write_text(text)
    val, test = (str(tmp_path / folder / "list.txt") for folder in "bc")
    found = parts(tmp_path / "a" / "list.txt", val=val, test=test)
    assert found.test is not None
    assert [len(part.files) for part in (found.train, found.val, found.test)] == [4, 4, 4]
    assert (found.classes, found.external, found.notes) == (("0", "1"), None, ())
    alone = parts(None, val=val)
    assert (len(alone.train.files), len(alone.val.files)) == (0, 4)
    assert alone.notes == (f"all images of `{val}` are held out: there are none to train on",)


@pytest.mark.parametrize("stated", [{"column": "patient"}, {"group": "{}?.png"}])
def test_groups_stay_on_one_side(tmp_path: Path, stated: dict[str, str]) -> None:
    path = many(tmp_path)
    if "column" in stated:
        layout = ListLayout(
            path=str(path), folder=None, val=0.4, test=None, columns=Columns(group="patient"), seed=0, group=None
        )
        sides = [{int(name) // 3 for name in names(layout.parts())[part]} for part in ("train", "val")]
        assert not sides[0] & sides[1]
        assert all(sides)
    else:
        with pytest.raises(
            ValueError, match=r"the group pattern `\{\}\?.png` does not match `0.png` of the class `cat`"
        ):
            parts(path, **stated)


def test_groups_in_several_parts_are_reported(tmp_path: Path) -> None:
    columns = Columns(split="set", group="patient")
    layout = ListLayout(path=str(many(tmp_path)), folder=None, val=None, test=None, columns=columns, seed=0, group=None)
    part_of = {f"{number}": ("train", "train", "val", "test")[number // 2 % 4] for number in range(40)}
    groups = {
        part: {int(name) // 3 for name, own in part_of.items() if own == part} for part in ("train", "val", "test")
    }
    both = len(groups["train"] & groups["val"])
    assert 0 < both < len(groups["train"])
    notes = layout.parts().notes
    assert any(
        note.startswith(f"{both} groups in both the training images and the held-out images, so") for note in notes
    )
    assert any("in both the held-out images and the test images" in note for note in notes)


# ---- what is refused


def test_everything_that_is_wrong_is_reported_at_once(root: Path) -> None:
    (root / "folder").mkdir()
    lines = (
        "image,label", "a.jpg,cat", "gone.jpg,dog", "a.jpg,dog", "my b.png,", ",cat", "a.jpg,cat,x", "a.jpg,cat",
        "https://x.org/y.jpg,cat", "folder,dog", "sub/c,owl",
    )  # fmt: skip
    assert errors(root / "a.csv", "\n".join(lines)) == [
        "has 1 line without a label: line 5",
        "has 1 line without an image: line 6",
        "has 1 line with another number of cells than 2: line 7 (3)",
        "has 2 lines whose file is missing: line 3 (`gone.jpg`), line 11 (`sub/c`)",
        "has 1 line with another label for the same image: line 4 (`a.jpg` is `dog`, but `cat` in line 2)",
        "has 1 line with a URL: line 9 (`https://x.org/y.jpg`)",
        "has 1 line with something that is not a file: line 10 (`folder`)",
    ]


def test_only_some_of_many_lines_are_named(tmp_path: Path) -> None:
    text = "image,label\n" + "".join(f"{number}.jpg,cat\n" for number in range(1_500))
    (said,) = errors(tmp_path / "a.csv", text)
    assert said.startswith("has 1,500 lines whose file is missing: line 2 (`0.jpg`), ")
    assert said.endswith("line 6 (`4.jpg`) and 1,495 more")


@pytest.mark.parametrize(
    ("labels", "wrong"),
    [
        (("cat|dog", "dog|owl", "owl|cat"), 3),
        (("cat", "dog", "cat dog"), 0),
        (("salt", "pepper", "salt, pepper"), 0),
        (("['cat', 'dog']", "owl", "cat"), 1),
        (("golden retriever", "black cat", "cat"), 0),
        (("crane, bird", "tench, Tinca tinca", "owl"), 0),
    ],
)
def test_several_labels_in_a_cell(root: Path, labels: tuple[str, ...], wrong: int) -> None:
    files = ("a.jpg", "my b.png", "sub/c, d.JPG")
    text = "image\tlabel\n" + "".join(f"{file}\t{label}\n" for file, label in zip(files, labels, strict=True))
    if wrong:
        (said,) = errors(root / "a.tsv", text)
        assert said.startswith(f"has {wrong} line{'s' * (wrong > 1)} with several labels: line ")
    else:
        assert {*listed(root / "a.tsv", text).values()} == {*labels}


@pytest.mark.parametrize(
    ("text", "stated", "said"),
    [
        ("", {}, "has no lines"),
        ("photo,kind,note\na.jpg,cat,x\n", {}, "has no column that is clearly that of the images: it has `kind`"),
        ("image,one,two\na.jpg,1,0\n", {}, "has no column that is clearly that of the labels: it has `image`, `one`"),
        ("image,label\na.jpg,cat\n", {"label": "lable"}, "has no column `lable`"),
        ("image,label,label\na.jpg,cat,cat\n", {"label": "label"}, "has several columns `label`"),
        ("a.jpg,cat,1\n", {}, "does not say which column is what: it begins with 3 cells, `1`, `a.jpg`, `cat`"),
        ("a.jpg,cat\n", {"label": "breed"}, "has no column `breed`: it begins with the image `a.jpg`"),
        ("image,label,set\na.jpg,cat,all\n", {"split": "set"}, "line whose part is not `train`, `val` or `test`: line"),
        ('image,label\n"a.jpg"x,cat\n', {}, "is not a list of images: "),
        ("image,label\na.jpg,1\nmy b.png,01\n", {}, "text for the same number: line 2 (`1`, but `01` in line 3)"),
    ],
)  # fmt: skip
def test_what_is_refused(root: Path, text: str, stated: dict[str, str], said: str) -> None:
    (message,) = errors(root / "a.csv", text, **stated)
    assert said in message


def test_text_in_another_encoding_is_refused(root: Path) -> None:
    (root / "a.csv").write_bytes("image,label\na.jpg,é\n".encode("latin-1"))
    with pytest.raises(RecipeError, match="is not UTF-8 text: it has the byte 0xe9"):
        parts(root / "a.csv")


def test_no_image_is_in_two_parts_and_no_label_is_only_held_out(root: Path) -> None:
    (root / "val.csv").write_text("image,label\na.jpg,cat\n")
    said = "has 1 line with one of the held-out images that is also in another part: line 2 (`a.jpg` is one of the"
    with pytest.raises(RecipeError) as error:
        listed(root / "a.csv", "image,label\na.jpg,cat\nmy b.png,dog\n", val=str(root / "val.csv"))
    assert said in error.value.diagnostics[0].message
    (root / "val.csv").write_text("image,label\na.jpg,owl\n")
    with pytest.raises(RecipeError, match="1 line with a label that no training image has"):
        listed(root / "a.csv", 'image,label\n"sub/c, d.JPG",cat\nmy b.png,dog\n', val=str(root / "val.csv"))


@pytest.mark.parametrize(
    ("labels", "certain", "possible"),
    [
        ("a b / b a", "", ""),
        ("a,b / b,a", "a,b / b,a", ""),
        ("a / b / a,b / a,b,c", "a,b / a,b,c", ""),
        ("a / b / c / a|b / b|c / a|c", "a|b / b|c / a|c", ""),
        ("apple pie / apple / pie / bread", "", "apple pie"),
        ("sea lion / sea / lion", "", "sea lion"),
        ("Acer rubrum, leaf / Acer rubrum, bark / Quercus alba, leaf", "", ""),
        ("Tomato; healthy / Tomato; blight / Potato; healthy", "", ""),
        ("red / red;blue", "", ""),
        ("polecat, fitch / skunk, polecat, wood pussy / missile / projectile, missile", "", ""),
        ("New York, New York / New York, Albany / Albany", "", ""),
        ("Acer, leaf / Acer, rubrum, leaf / Acer, rubrum, bark / Acer, bark", "", ""),
    ],
)
def test_several_labels_are_refused_only_if_they_are_combined_freely(labels: str, certain: str, possible: str) -> None:
    found = several(labels.split(" / "))
    assert (found.certain, found.possible) == tuple({*filter(None, text.split(" / "))} for text in (certain, possible))


def test_a_label_that_may_be_several_is_reported(root: Path) -> None:
    (root / "a.csv").write_text('image,label\na.jpg,apple pie\nmy b.png,pie\n"sub/c, d.JPG",apple\n')
    assert "taken as one label each, though their words are labels, too: `apple pie`" in parts(root / "a.csv").notes


def test_a_link_is_the_image_that_it_links_to(root: Path) -> None:
    (root / "link.jpg").symlink_to(root / "a.jpg")
    (root / "linked").symlink_to(root / "sub")
    lines = ["image,label,part", "a.jpg,cat,train", '"sub/c, d.JPG",dog,train']
    both = [*lines, "link.jpg,cat,val", '"linked/c, d.JPG",dog,val']
    (said,) = errors(root / "a.csv", "\n".join(both), split="part")
    assert said.startswith(
        "has 2 lines with one of the held-out images that is also in another part: line 4 (`link.jpg`"
    )
    assert (
        "line 5 (`linked/c, d.JPG`, the same file as `sub/c, d.JPG`, is one of the training images in line 3)" in said
    )
    (said,) = errors(root / "a.csv", "\n".join([*lines, "link.jpg,dog,train"]), split="part")
    assert "line 4 (`link.jpg`, the same file as `a.jpg`, is `dog`, but `cat` in line 2)" in said


def test_what_is_unusual_is_reported(root: Path) -> None:
    (root / "lists").mkdir()
    text = "image,label\n../a.jpg,cat\n../my b.png,Cat\n../a.jpg,cat\n"
    (root / "lists" / "a.csv").write_text(text)
    path = root / "lists" / "a.csv"
    assert parts(path).notes[1:4] == (
        "2 images outside of the folder of the list's images, such as `../a.jpg`",
        f"1 image in several lines with the same label, used once, such as `../a.jpg` in lines 2 and 4 of `{path}`",
        "labels that differ only in case or Unicode form: `Cat` and `cat`",
    )


# ---- recipes and runs


@pytest.mark.parametrize(
    ("statement", "code", "said"),
    [
        ("data list", "E025", "`data list` needs a list of images"),
        ('data list val="v.csv" test=20%', "E025", "`data list` needs a list of images"),
        ('data list "x" val=60% test=40%', "E024", "so there are none to train on"),
        ('data list "x" group="{}{}"', "E023", "a group pattern needs one `{}`"),
        ('data list "x" label=breed', "E023", "takes the name of a column, in quotes"),
    ],
)
def test_what_a_recipe_cannot_state(statement: str, code: str, said: str) -> None:
    with pytest.raises(RecipeError) as error:
        bind(f"base resnet18; {statement}")
    (diagnostic,) = error.value.diagnostics
    assert (diagnostic.code, said in diagnostic.message) == (code, True)


@pytest.fixture
def colors(tmp_path: Path) -> Path:
    """Write images and a list of them without their endings."""
    lines = ["id,color"]
    for label, name in enumerate(COLORS):
        paint(tmp_path / "images" / name, name, 12, label)
        lines += [f"{name}/{path.stem},{name}" for path in sorted((tmp_path / "images" / name).iterdir())]
    (tmp_path / "colors.csv").write_text("\n".join(lines))
    return tmp_path / "colors.csv"


def test_a_list_suggests_what_a_folder_does(colors: Path) -> None:
    of_list = values(bind(f'base resnet18; data list "{colors}" folder="{colors.parent / "images"}"'))
    of_folder = values(bind(f'base resnet18; data folder "{colors.parent / "images"}"'))
    assert of_list.pop("data list size") == of_folder.pop("data folder size")
    assert of_list == of_folder
    assert values(bind('base resnet18; data list "nowhere.csv"')) == {}


def test_warnings_about_a_list_need_none_of_its_images(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,kind\ngone.jpg,cat\n")
    texts = [
        bind(f'base resnet18; data list "{tmp_path / name}" label="breed"').warnings for name in ("a.csv", "b.csv")
    ]
    assert [one.message for (one,) in texts] == [
        f"`{tmp_path / 'a.csv'}` has no column `breed`",
        f"the list `{tmp_path / 'b.csv'}` can't be read on this machine: no such file or directory",
    ]


def test_a_list_that_is_missing_gets_the_names_next_to_it(tmp_path: Path) -> None:
    def help_of(name: str) -> str:
        with pytest.raises(
            RecipeError, match=f"E070.*`data list`: no such file or directory: .*/Lists/{name}"
        ) as error:
            recipe.run("base timm:test_resnet", f'data list "{folder / name}"')
        return error.value.diagnostics[0].help

    folder = tmp_path / "Lists"
    assert help_of("label.csv") == ""
    write(folder, "labels.csv", "train.txt")
    assert help_of("label.csv") == "did you mean `labels.csv`?"
    assert help_of("all.csv") == f"`{folder}` has `labels.csv`"
    assert help_of("all.tsv") == ""


def test_a_run_resumes_and_is_evaluated_on_the_same_images(colors: Path, tmp_path: Path) -> None:
    data = f'data list "{colors}" folder="{colors.parent / "images"}" size=32 workers=0 test=20%'
    text = f"base timm:test_resnet; {data}; batch 8; epochs 2; lr 1e-3"
    run = recipe.run(text, out=tmp_path / "run", device="cpu")
    assert run.summary["test"]["images"] > 0
    again = recipe.run(text, out=tmp_path / "run", device="cpu", resume=True)
    assert again.metrics == run.metrics
    evaluation = recipe.load(tmp_path / "run").evaluate()
    assert evaluation.names == tuple(sorted(COLORS))
    assert all(Path(name).parent.name in COLORS for name in evaluation.images)
    assert show_data(text).findings == ()
    (tmp_path / "colors.csv").write_text(colors.read_text().rsplit("\n", 1)[0])
    with pytest.raises(RecipeError, match="E113"):
        recipe.run(text, out=tmp_path / "run", device="cpu", resume=True)

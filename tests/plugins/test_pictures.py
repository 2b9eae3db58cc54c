"""A dataset is recognized by the hook that opens it, regardless of its verb."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import recipe
from recipe.base.errors import RecipeError
from recipe.plugins.vocabulary import Vocabulary
from tests.helpers import bind, command

PICTURES = '''
"""pictures: made-up pictures of two classes, dark ones and bright ones."""
import attrs

from recipe.api import Trick, choice, integer, trick


@trick("pictures", writes=("data",))
class Pictures(Trick):
    """Train on made-up pictures, dark ones and bright ones."""

    size: int = integer(24, "height and width, in pixels", minimum=8, maximum=64)
    workers: int = integer(0, "processes that load batches ahead", minimum=0, maximum=8)
    on_error: str = choice("fail", "what an image that can't be read does", of=("fail", "skip"))

    def open(self):
        import torch

        from recipe.api import Sets

        part = Scans(torch.arange(8) % 2, self.size)
        return Sets(part, part, 2)

    def count_classes(self):
        return 2

    def count_images(self):
        return 8


@attrs.frozen(eq=False)
class Scans:
    """Images of a custom class."""

    labels: object
    size: int
    uniform: bool = True

    def fetch(self, indices, boxer):
        {fetch}
'''

FETCH = """import torch

        found = (self.labels[torch.from_numpy(indices)] * 200).to(torch.uint8)
        return found.view(-1, 1, 1, 1).repeat(1, 3, self.size, self.size)"""

TEXT = "base squeezenet1_1; pictures; batch 4; epochs 1; lr 1e-4"


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "pictures.py"
    path.write_text(PICTURES.format(fetch=FETCH))
    return path


def test_a_plan_finds_the_dataset(plugin: Path) -> None:
    words = Vocabulary.installed([plugin])
    use = bind(TEXT, data=True, words=words).images
    assert (use and use.word) == "pictures"
    assert bind("base resnet18", words=words).images is None


def test_suggestions_of_a_model_for_data_apply(plugin: Path) -> None:
    plugin.write_text(plugin.read_text().replace("maximum=64", "maximum=512"))
    use = bind("base inception_v3; pictures", words=Vocabulary.installed([plugin])).images
    assert (use and use.values["size"], use and str(use.origins["size"])) == (299, "suggested by `base inception_v3`")


def test_check_accepts_the_dataset(plugin: Path) -> None:
    assert command("check", TEXT, "--plugin", plugin).status == 0
    found = command("check", f"{TEXT}; data digits", "--plugin", plugin)
    assert (found.status, found.stdout.count("error["), "error[E030]" in found.stdout) == (2, 1, True)


def test_explain_uses_the_dataset(plugin: Path) -> None:
    shown = json.loads(command("explain", TEXT, "--json", "--plugin", plugin).stdout)
    assert "data digits" not in [use["trick"] for use in shown["plan"]["tricks"]]
    program = recipe.compile(TEXT, device="meta", plugins=Vocabulary.installed([plugin]))
    assert (program.costs.size, program.classes) == (24, 2)


def test_diff_uses_the_dataset(plugin: Path) -> None:
    note = "names no dataset"
    assert f"B {note}" in command("diff", TEXT, "base resnet18", "--plugin", plugin).stdout
    assert note not in command("diff", TEXT, "base resnet18; data digits", "--plugin", plugin).stdout


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_trains_on_the_dataset(workers: int, plugin: Path, tmp_path: Path) -> None:
    text = TEXT.replace("pictures", f"pictures workers={workers}")
    found = command("run", text, "--out", tmp_path / "x", "--device", "cpu", "--plugin", plugin)
    assert found.status == 0, found.stderr
    assert "pictures, 2 classes" in found.stderr
    assert json.loads((tmp_path / "x" / "summary.json").read_text())["training_images"] == 8


@pytest.mark.slow
def test_the_kit_checks_the_dataset(plugin: Path) -> None:
    found = command("test-plugin", plugin, "--only", "reversible", "--only", "resume", "--only", "canonical")
    assert (found.status, found.stdout.count("ok ")) == (0, 3), found.stdout


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("on_error", ["fail", "skip"])
@pytest.mark.parametrize(
    ("fetch", "code", "said"),
    [
        ('return {}["x"]', "E080", "Scans` is broken: KeyError: 'x'"),
        ("pass", "E080", "Scans` is broken: it returns a NoneType, not torch.uint8 ("),
        (f"{FETCH}.float()", "E080", "Scans` is broken: it returns torch.float32 ("),
        ("raise SystemExit(0)", "E080", "Scans` is broken: SystemExit: 0"),
        ('raise OSError("it is torn")', "E070", "it is torn"),
    ],
)
def test_wrong_results_of_fetch_are_reported(
    fetch: str, code: str, said: str, on_error: str, workers: int, tmp_path: Path
) -> None:
    (tmp_path / "pictures.py").write_text(PICTURES.format(fetch=fetch))
    text = TEXT.replace("pictures", f"pictures workers={workers} on-error={on_error}")
    with pytest.raises(RecipeError) as caught:
        recipe.run(text, out=tmp_path / "x", device="cpu", plugins=Vocabulary.installed([tmp_path / "pictures.py"]))
    (error,) = caught.value.diagnostics
    assert (error.code, error.span and error.span.text) == (code, "pictures")
    assert said in error.message or (on_error == "skip" and code == "E070")


def test_images_of_another_size_than_the_field_are_rejected(plugin: Path, tmp_path: Path) -> None:
    plugin.write_text(
        plugin.read_text().replace("Scans(torch.arange(8) % 2, self.size)", "Scans(torch.arange(8) % 2, 48)")
    )
    found = command("run", TEXT, "--out", tmp_path / "x", "--device", "cpu", "--plugin", plugin)
    assert (found.status, "torch.uint8 (4, 3, 48, 48), not torch.uint8 (4, 3, 24, 24)" in found.stderr) == (2, True)


def test_images_in_memory_of_another_size_than_the_field_are_rejected_before_training(plugin: Path) -> None:
    memory = "part = InMemory(torch.zeros(8, 3, 24, 48, dtype=torch.uint8), torch.arange(8) % 2)"
    text = plugin.read_text().replace("import Sets", "import InMemory, Sets")
    plugin.write_text(text.replace("part = Scans(torch.arange(8) % 2, self.size)", memory))
    found = command("run", TEXT, "--dry-run", "--device", "cpu", "--plugin", plugin)
    assert (found.status, "`Sets.train` have 24×48 pixels, but its `size` is 24" in found.stderr) == (2, True)


def test_counts_that_differ_from_the_images_are_reported(plugin: Path) -> None:
    plugin.write_text(plugin.read_text().replace("return 8\n", "return 1000\n"))
    found = command("run", TEXT, "--dry-run", "--device", "cpu", "--plugin", plugin)
    assert (found.status, "`count_images` of `pictures` returns 1000, but `open` returns 8" in found.stderr) == (
        0,
        True,
    )

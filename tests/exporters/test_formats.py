"""Formats of other packages: found, listed and exported like built-in ones, and reported if they can't be used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import recipe
from recipe.exporters.formats import GROUP, find, installed
from recipe.inference.run import Run
from tests.exporters.helpers import FAKE, train
from tests.helpers import ROOT, command
from tests.plugins.helpers import install

OURS = ["onnx", "python", "safetensors"]

TENSORS = '''
"""TorchScript's sibling: a file of tensors."""

from pathlib import Path

from recipe import Format, SourceRun


def write(run: SourceRun, path: Path) -> object:
    import copy

    import torch

    print("which nobody asked for")
    torch.save(run.model.state_dict(), path)
    path.with_suffix(".txt").write_text(run.metadata["recipe"])
    model = copy.deepcopy(run.model)
    model.load_state_dict(torch.load(path))
    return {logits}


FORMAT = Format("Tensors", ".pt", "A file of tensors.", write{more})
'''


DEPLOY = """
def deploy(run: SourceRun, path: Path) -> str:
    path.write_bytes(run.pixels[0].tobytes())
    return f"its interpreter takes no {run.pixels[0].shape}"
"""


def module(logits: str = "run.logits_of(model)", more: str = "") -> str:
    return TENSORS.format(logits=logits, more=more)


def offer(site: Path, text: str, *, package: str = "recipe-tensors", name: str = "tensors") -> None:
    """Install a package with one format, whose module has the given text."""
    stem = f"{package.replace('-', '_')}_mod"
    install(site, package, {name: f"{stem}:FORMAT"}, group=GROUP, **{stem: text})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("runs") / "first", text=f"base shufflenet_v2_x0_5; {FAKE}")


@pytest.fixture
def here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder, in which no package is installed."""
    folder = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(folder)
    return folder


def test_built_in_formats_are_found_through_entry_points() -> None:
    formats, errors = installed()
    assert (list(formats), errors) == (OURS, [])
    assert {format.package for format in formats.values()} == {"recipe-compiler"}


def test_export_to_the_format_of_a_package(run: Run, site: Path, here: Path) -> None:
    offer(site, module())
    done = command("export", run.folder, "--to", "tensors")
    assert (done.status, done.stdout) == (0, "first.pt\nfirst.txt\n")
    assert done.stderr == "verified: logits equal the run's\n"
    weights = torch.load(here / "first.pt")
    assert all(torch.equal(weights[name], tensor) for name, tensor in run.model.state_dict().items())
    assert recipe.export(run.folder, to="tensors", out=here / "x.pt").paths == (here / "x.pt", here / "x.txt")


def test_a_format_of_a_package_can_support_deploy(run: Run, site: Path, here: Path) -> None:
    text = module().replace("FORMAT =", f"{DEPLOY}\n\nFORMAT =").replace(", write)", ", write, deploy=deploy)")
    offer(site, text)
    assert "A file of tensors. Supports --deploy." in command("export", "--help").stdout
    done = command("export", run.folder, "--to", "tensors", "--deploy")
    assert (done.status, done.stdout) == (0, "first.pt\n")
    assert done.stderr == "not verified: its interpreter takes no (3, 7, 9, 3)\n"


def test_a_format_without_deploy_refuses_it(run: Run, site: Path, here: Path) -> None:
    offer(site, module())
    done = command("export", run.folder, "--to", "tensors", "--deploy")
    assert (done.status, done.stdout) == (2, "")
    assert "error[E121]: the format `tensors` can't export a model that takes pixels" in done.stderr
    assert not list(here.iterdir())


def test_the_documented_format_exports(run: Run, site: Path, here: Path) -> None:
    (text,) = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs/guides/write-a-format.md").read_text("utf-8"), re.M | re.S
    )
    offer(site, text, name="pt2")
    assert recipe.export(run.folder, to="pt2").paths == (Path("first.pt2"),)
    assert torch.export.load(here / "first.pt2").module()(torch.zeros(3, 3, 32, 32)).shape == (3, 10)


def test_files_of_a_format_are_not_overwritten(run: Run, site: Path, here: Path) -> None:
    offer(site, module())
    (here / "first.txt").write_text("mine")
    done = command("export", run.folder, "--to", "tensors")
    assert (done.status, done.stdout) == (2, "")
    assert "error[E111]: `first.txt` already exists" in done.stderr
    assert [path.name for path in here.iterdir()] == ["first.txt"]


def test_installed_formats_are_listed(site: Path) -> None:
    offer(site, module(more=', needs=("no_such_module", "json")'))
    done = command("export", "--help")
    assert (done.status, done.stderr) == (0, "")
    listed = done.stdout.partition("Formats:\n")[2]
    assert [line.split()[0] for line in listed.splitlines() if line[2] != " "] == [*OURS, "tensors"]
    assert listed.endswith("  tensors      A file of tensors. Not installed: no_such_module.\n")
    unknown = command("export", "first", "--to", "tensor")
    assert (unknown.status, unknown.stdout) == (2, "")
    assert "help: use one of `onnx`, `python`, `safetensors`, `tensors`" in unknown.stderr


def test_an_export_without_logits_is_reported_as_not_verified(run: Run, site: Path, here: Path) -> None:
    offer(site, module("'its interpreter is not installed'"))
    done = command("export", run.folder, "--to", "tensors")
    assert (done.status, done.stderr) == (0, "not verified: its interpreter is not installed\n")
    exported = recipe.export(run.folder, to="tensors", out=here / "x.pt")
    assert (exported.difference, exported.unverified) == (None, "its interpreter is not installed")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            module(more=', needs=("no_such_module",)'),
            "E121]: exporting to Tensors requires the package `no_such_module`",
        ),
        (module("2 * run.logits"), "E122]: the logits of the export to tensors are off by"),
        (module("1 / 0"), "E080]: the format `tensors` of recipe-tensors is broken: ZeroDivisionError"),
        (module("None"), "E080]: the format `tensors` of recipe-tensors is broken: it returns a NoneType"),
        (module("path.unlink() or ''"), "E080]: the format `tensors` of recipe-tensors is broken: it did not write"),
    ],
    ids=["needs a package", "other logits", "raises", "returns neither", "writes nothing"],
)
def test_a_format_that_fails_leaves_no_files(text: str, said: str, run: Run, site: Path, here: Path) -> None:
    offer(site, text)
    done = command("export", run.folder, "--to", "tensors")
    assert (done.status, done.stdout) == (2, "")
    assert f"error[{said}" in done.stderr
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_module", "the plugin recipe-tensors is broken: ModuleNotFoundError: No module named"),
        ("raise SystemExit(7)", "the plugin recipe-tensors is broken: SystemExit: 7"),
        ("FORMAT = print", "the plugin recipe-tensors is broken: `tensors` is not a recipe.Format"),
        (
            module().replace('"Tensors"', '"Scripted"'),
            "recipe-tensors is broken: it registers `tensors` for a format named `Scripted`",
        ),
    ],
)
def test_a_broken_format_does_not_affect_others(text: str, said: str, site: Path) -> None:
    offer(site, text)
    listed, doctor = command("export", "--help"), installed()
    assert listed.status == 0
    assert "\n  safetensors " in listed.stdout
    assert (listed.stderr.count("error[E080]"), said in listed.stderr) == (1, True)
    assert (list(doctor[0]), len(doctor[1])) == (OURS, 1)
    assert find("onnx").suffix == ".onnx"
    with pytest.raises(recipe.RecipeError, match="E080"):
        find("tensors")


def test_a_package_cannot_take_the_name_of_a_built_in_format(site: Path) -> None:
    offer(site, module().replace('"Tensors"', '"ONNX"'), name="onnx")
    formats, errors = installed()
    assert formats["onnx"].package == find("onnx").package == "recipe-compiler"
    (diagnostic,) = errors[0].diagnostics
    assert (diagnostic.code, len(errors)) == ("E081", 1)
    assert diagnostic.message == (
        "the format `onnx` of recipe-tensors can't be used: recipe-compiler has a format of this name"
    )


def test_two_packages_with_one_name(site: Path) -> None:
    offer(site, module())
    offer(site, module(), package="tensors-too")
    formats, errors = installed()
    assert (list(formats), len(errors)) == (OURS, 1)
    assert "E081]: the format `tensors` is registered by recipe-tensors and tensors-too" in str(errors[0])
    with pytest.raises(recipe.RecipeError, match="E081"):
        find("tensors")


def test_a_damaged_package_is_named(site: Path) -> None:
    offer(site, module())
    (site / "recipe-tensors-1.0.dist-info" / "entry_points.txt").write_text(f"[{GROUP}]\ntensors\n")
    done = command("export", "--help")
    assert done.status == 0
    assert "the package recipe-tensors is damaged: its entry_points.txt can't be read" in done.stderr


@pytest.mark.slow
def test_the_doctor_names_a_broken_format(site: Path) -> None:
    offer(site, "FORMAT = print")
    assert "broken: the plugin recipe-tensors is broken: `tensors` is not a recipe.Format" in command("doctor").stdout

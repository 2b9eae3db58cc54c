"""The cache of program summaries returns exactly what compiling would."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from safetensors.torch import save_file

import recipe
from recipe.compiler import cache, lower
from recipe.plugins import fingerprint
from recipe.plugins.vocabulary import Vocabulary
from tests.helpers import bind, command

PLUGIN = '''
from recipe.api import Layer, Insert, Site, Trick, trick

@trick("tweak extra", writes=("stem",))
class Extra(Trick):
    """Insert a pooling layer before the stem."""

    def rewrite(self, net):
        address, conv = net.stem
        yield Site(address, (Insert(address, ((f"{address}_extra", Layer("AvgPool2d", {"kernel_size": SIZE})),)),))
'''


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECIPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_cached_summaries_are_the_same(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = bind("base resnet18; tweak C D; decay no-bias; lr warmup 5 cosine; loss smooth")
    first = cache.cached_summary(plan)
    assert len(list(kept.glob("facts/*.json"))) == 1
    monkeypatch.setattr(lower, "lower", None)
    assert cache.cached_summary(plan) == first


@pytest.mark.parametrize(
    "text", ["base resnet34", "base resnet18; seed 1", "base resnet18; tweak C", "base resnet18; batch 8"]
)
def test_another_plan_has_another_key(text: str) -> None:
    assert cache.key(bind(text)) != cache.key(bind("base resnet18"))


def test_new_images_are_noticed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "images" / "train" / name).mkdir(parents=True)
    plan = bind(f'base resnet18; data folder "{tmp_path / "images"}"')
    assert cache.cached_summary(plan).classes == 2
    (tmp_path / "images" / "train" / "c").mkdir()
    assert cache.cached_summary(plan).classes == 3


def test_new_weights_are_noticed(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    plan = bind(f'base resnet18 weights="{file}"')
    weights = recipe.compile("base resnet18").model.state_dict()
    save_file({name: tensor for name, tensor in weights.items() if name != "bn1.weight"}, file)
    assert cache.cached_summary(plan).fates["bn1.weight"] != "loaded"
    save_file(weights, file)
    assert cache.cached_summary(plan).fates["bn1.weight"] == "loaded"


def test_a_changed_plugin_is_noticed(tmp_path: Path) -> None:
    def addressed(size: int) -> list[object]:
        file = tmp_path / "extra.py"
        file.write_text(PLUGIN.replace("SIZE", str(size)))
        plan = bind("base resnet18; tweak extra", words=Vocabulary.installed([file]))
        return [
            node.settings["kernel_size"] for node in cache.cached_summary(plan).nodes if node.address == "conv1_extra"
        ]

    assert addressed(2) == [2]
    assert addressed(3) == [3]


def test_summaries_with_a_plugin_are_not_cached(tmp_path: Path, kept: Path) -> None:
    """A plugin may import any file, and no key could cover them all."""
    file = tmp_path / "extra.py"
    file.write_text(PLUGIN.replace("SIZE", "2"))
    plan = bind("base resnet18; tweak extra", words=Vocabulary.installed([file]))
    assert cache.key(plan) is None
    cache.cached_summary(plan)
    assert not list(kept.glob("facts/*"))


@pytest.mark.parametrize("what", ["version", "code", "python"])
def test_versions_and_code_are_part_of_the_key(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = bind("base resnet18")
    before = cache.key(plan)
    if what == "version":
        monkeypatch.setattr(cache, "version_of", lambda name: "another")
    elif what == "python":
        monkeypatch.setattr(cache.platform, "python_version", lambda: "another")
    else:
        monkeypatch.setattr(fingerprint, "_files_of", lambda module: (tmp_path, [Path(__file__)]))
        fingerprint.code_of.cache_clear()
    assert cache.key(plan) != before
    fingerprint.code_of.cache_clear()


def test_the_key_reads_every_file_of_the_package() -> None:
    package = fingerprint.PACKAGE
    read = set(fingerprint._sources(package))
    for folder in ("", "cli", "compare", "graph", "tricks"):
        assert set((package / folder).glob("*.py")) <= read


@pytest.mark.parametrize("content", ["", "{", "[]", '{"digest": 1}', '{"nodes": [{"settings": null}], "schedule": {}}'])
def test_a_damaged_file_is_computed_again(content: str, kept: Path) -> None:
    plan = bind("base resnet18")
    first = cache.cached_summary(plan)
    (file,) = kept.glob("facts/*.json")
    file.write_text(content)
    assert cache.cached_summary(plan) == first


@pytest.mark.parametrize("damage", [{"size": "224"}, {"classes": None}, {"nodes": [{}]}, {"classes": True}])
def test_a_file_with_invalid_values_is_computed_again(damage: dict[str, object], kept: Path) -> None:
    plan = bind("base resnet18")
    first = cache.cached_summary(plan)
    (file,) = kept.glob("facts/*.json")
    content = json.dumps(first.to_dict() | damage).encode()
    file.write_bytes(cache._seal(file.stem, content) + b"\n" + content)
    assert cache.cached_summary(plan) == first


def test_no_change_of_a_byte_is_taken_for_the_summary(kept: Path) -> None:
    plan = bind("base resnet18")
    first = cache.cached_summary(plan)
    (file,) = kept.glob("facts/*.json")
    content = file.read_bytes()
    for place in random.Random(0).sample(range(len(content)), 160):
        damaged = bytearray(content)
        damaged[place] ^= 1
        file.write_bytes(damaged)
        assert cache.load(file.stem) is None
    file.write_bytes(content)
    assert cache.load(file.stem) == first


def test_the_summary_of_another_recipe_is_not_taken(kept: Path) -> None:
    other, plan = bind("base resnet18; tweak C"), bind("base resnet18")
    cache.cached_summary(other)
    (file,) = kept.glob("facts/*.json")
    file.rename(file.with_stem(str(cache.key(plan))))
    assert cache.cached_summary(plan).digest == plan.digest


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_an_entry_that_is_no_file_is_not_waited_for(kind: str, kept: Path, tmp_path: Path) -> None:
    plan = bind("base resnet18")
    first = cache.cached_summary(plan)
    (file,) = kept.glob("facts/*.json")
    file.unlink()
    (tmp_path / "other").write_text("precious")
    {
        "pipe": lambda: os.mkfifo(file),
        "folder": file.mkdir,
        "link": lambda: file.symlink_to(tmp_path / "other"),
    }[kind]()
    assert cache.cached_summary(plan) == first
    assert (tmp_path / "other").read_text() == "precious"


def test_a_cache_folder_that_is_a_link_is_neither_written_nor_pruned(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "KEEP", 0)
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "0123456789abcdef.json").write_text("precious")
    kept.mkdir()
    (kept / "facts").symlink_to(victim)
    cache.cached_summary(bind("base resnet18"))
    assert [path.name for path in victim.iterdir()] == ["0123456789abcdef.json"]


def test_only_entries_are_pruned(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "KEEP", 0)
    (kept / "facts").mkdir(parents=True)
    (kept / "facts" / "notes.json").write_text("precious")
    (kept / "facts" / "0123456789abcdef.json").symlink_to(tmp_path)
    cache.cached_summary(bind("base resnet18"))
    assert sorted(path.name for path in (kept / "facts").iterdir()) == ["0123456789abcdef.json", "notes.json"]


def test_a_cache_that_cannot_be_written_is_not_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RECIPE_CACHE", str(tmp_path / "file"))
    assert command("diff", "base resnet18", "base resnet18; tweak C").status == 0


def test_old_files_are_deleted(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "KEEP", 2)
    for seed in range(4):
        cache.cached_summary(bind(f"base resnet18; seed {seed}"))
    assert len(list(kept.glob("facts/*.json"))) == 2


def test_other_files_are_left_alone(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.mkdir()
    for number in range(4):
        (kept / f"{number}.json").write_text("{}")
    monkeypatch.setattr(cache, "KEEP", 1)
    cache.cached_summary(bind("base resnet18"))
    assert len(list(kept.glob("*.json"))) == 4

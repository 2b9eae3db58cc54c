"""A finished run, opened from its folder for export."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

import attrs
import torch
from torch import Tensor, fx, nn

from recipe.base.errors import fail
from recipe.base.printable import command_line, path_word
from recipe.base.typed_json import Malformed
from recipe.base.wording import reason_of
from recipe.compiler.lower import lower
from recipe.compiler.program import Program
from recipe.plan.bind import LOCK
from recipe.plugins.fingerprint import code_by_package
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.environment import changed_code, plugins_of
from recipe.runs.provenance import Classes, Preprocessing, read_provenance
from recipe.runs.reader import environment_of, summary_of
from recipe.runs.recipe_lock import open_lock
from recipe.runs.weights import packed_weights, unpacked
from recipe.training.setup import open_sets, preprocessing_of


@attrs.frozen(eq=False, slots=False)
class SourceRun:
    """A finished run: its program, its trained model in evaluation mode on the CPU, and what it was trained on."""

    program: Program
    """The compiled recipe."""
    model: fx.GraphModule
    """The trained model in evaluation mode, on the CPU."""
    digest: str
    """The digest of its plan, as its recipe.lock states it."""
    classes: Classes
    """The classes that it was trained on."""
    preprocessing: Preprocessing
    """How images become its inputs."""
    note: str = ""
    """What may make the model another one than was trained, or empty."""

    @property
    def base(self) -> str:
        """The name of the stock model."""
        return self.program.plan.model

    @property
    def size(self) -> int:
        """Height and width of an input, in pixels."""
        return self.program.costs.size

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, or empty unless every output has one."""
        return self.classes.names if len(self.classes.names) == self.program.classes else ()

    @cached_property
    def metadata(self) -> dict[str, str]:
        """Metadata for the weights, as text. Lists are JSON. Mean and std are per channel, for pixels in 0..1."""
        about = {
            "digest": self.digest,
            "recipe": self.program.plan.canonical(),
            "base": self.base,
            "image_size": str(self.size),
            "mean": json.dumps(self.preprocessing.mean),
            "std": json.dumps(self.preprocessing.std),
            "classes": str(self.program.classes),
        }
        return about | ({"class_names": json.dumps(self.names)} if self.names else {})

    @cached_property
    def images(self) -> Tensor:
        """Four random inputs, the same in every export: (4, 3, size, size)."""
        return torch.randn(4, 3, self.size, self.size, generator=torch.Generator().manual_seed(0))

    @cached_property
    def logits(self) -> Tensor:
        """The logits of the run's own model for `images`: (4, K)."""
        return self.logits_of(self.model)

    def logits_of(self, model: nn.Module) -> Tensor:
        """Return a model's logits for `images`: (4, K)."""
        with torch.inference_mode():
            return model(self.images)  # type: ignore[no-any-return]


def open_run(folder: Path, vocabulary: Vocabulary) -> SourceRun:
    """Open the folder of a finished run. Raises `RecipeError` (E120) if it isn't one or its weights can't be read."""
    weights, summary = folder / "model.safetensors", summary_of(folder)
    help = "name the folder that `recipe run` printed"
    if not folder.exists():
        raise fail("E120", f"the folder `{folder}` does not exist", help=help)
    if not (folder / LOCK).is_file():
        raise fail("E120", f"`{folder}` is not a run folder: it has no recipe.lock", help=help)
    if not summary:
        help = f"resume it with `{command_line('recipe', 'run', f'--resume={path_word(folder)}')}`"
        raise fail("E120", f"the run in `{folder}` has not finished: it has no complete summary.json", help=help)
    lock = open_lock(folder)
    if summary.get("digest") != lock.digest:
        help = "restore recipe.lock and summary.json from a copy of the run"
        raise fail("E120", f"the summary in `{folder}` belongs to a different recipe than its recipe.lock", help=help)
    plan = lock.plan(vocabulary)
    if plan.model == "module":
        help = "save it from Python instead, with `run.model.state_dict()`"
        raise fail("E121", f"`{folder}` trained a model of your own, which its recipe does not describe", help=help)
    if provenance := read_provenance(folder):
        classes, preprocessing, note = provenance.classes, provenance.preprocessing, ""
    else:
        sets = open_sets(plan)
        classes, preprocessing = Classes(sets.classes, sets.names), preprocessing_of(plan, sets)
        note = "an earlier release made this run without recording its classes: they are those of the data today"
    program = lower(plan, classes=classes.count, pretrained=False)
    model = program.materialise(pretrained=False)
    try:
        model.load_state_dict(unpacked(packed_weights(folder)))
    except (OSError, Malformed, RuntimeError) as error:
        help = "train it again; the evaluated weights are not stored anywhere else"
        raise fail("E120", f"`{weights}` can't be read: {reason_of(error)}", help=help) from error
    made = environment_of(folder)
    if changed := changed_code(made.plugins if made else (), plugins_of(code_by_package(plan.uses))):
        note = "; ".join(filter(None, (note, f"the model may be another one than was trained: {', '.join(changed)}")))
    return SourceRun(program, model.eval(), lock.digest, classes, preprocessing, note)

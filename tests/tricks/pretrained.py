"""Write the inputs of published weights to `tricks/_pretrained.txt`, and ImageNet's classes to `tricks/_imagenet.txt`.

Both are from the installed torchvision and timm.

python -m tests.tricks.pretrained
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recipe.api import Preprocessing

FILE = Path(__file__).parents[2] / "tricks" / "_pretrained.txt"

CLASSES = FILE.with_name("_imagenet.txt")

CLASSES_HEAD = """\
# The WordNet identifiers of ImageNet's 1,000 classes (ILSVRC 2012), in the order of the outputs of models.
# Written by `python -m tests.tricks.pretrained` from timm.
"""

HEAD = """\
# The inputs that published weights expect, so that a recipe can be bound without importing torch.
# Written by `python -m tests.tricks.pretrained` from torchvision {torchvision} and timm {timm}.
#
# A block is: means, deviations, size, crop and interpolation, then the weights. NAME alone stands for all weights of a
# model that are not listed with their own name or tag, and for its default ones.
"""


def torchvision_inputs() -> Iterator[tuple[str, str, Preprocessing]]:
    """Yield each model of torchvision with the names of its weights, the default ones first, and their inputs."""
    from torchvision.models import get_model_weights

    from recipe.tricks._inputs import expected_by
    from recipe.tricks._models import MODELS

    for model in MODELS:
        known = get_model_weights(model)
        for name in sorted(known.__members__, key=lambda name: known[name] is not known.DEFAULT):
            yield model, name, expected_by(model, known[name])


def timm_inputs() -> Iterator[tuple[str, str, Preprocessing]]:
    """Yield each model of timm with the tags of its weights, the default ones first, and their inputs."""
    import timm
    from timm.models._registry import _model_default_cfgs

    from recipe.tricks._inputs import expected_by_timm

    for model in timm.list_models():
        configs: Any = _model_default_cfgs[model]
        for tag in configs.tags:
            yield f"timm:{model}", tag, expected_by_timm(configs.cfgs[tag].to_dict())


def table() -> str:
    """Return the content of the file."""
    import timm
    import torchvision

    blocks = dict[str, list[str]]()
    defaults = dict[str, str]()
    for model, name, inputs in [*torchvision_inputs(), *timm_inputs()]:
        line = written(inputs)
        if defaults.setdefault(model, line) == line and model not in blocks.setdefault(line, []):
            blocks[line].append(model)
        elif defaults[model] != line:
            blocks.setdefault(line, []).append(f"{model}.{name}")
    parts = [HEAD.format(torchvision=torchvision.__version__.partition("+")[0], timm=timm.__version__)]
    for line in sorted(blocks):
        names = textwrap.wrap(" ".join(blocks[line]), 118, break_long_words=False, break_on_hyphens=False)
        parts.append("\n".join([line, *(f"  {names_}" for names_ in names)]) + "\n")
    return "\n".join(parts)


def classes() -> str:
    """Return the content of the file of ImageNet's classes."""
    from timm.data.imagenet_info import ImageNetInfo

    info: Any = ImageNetInfo()
    return CLASSES_HEAD + "".join(f"{wnid}\n" for wnid in info.label_names())


def written(inputs: Preprocessing) -> str:
    """Return the first line of a block."""
    groups = (inputs.mean, inputs.std, (inputs.size,), (inputs.crop,), (inputs.interpolation,))
    return " | ".join(" ".join("-" if value is None else str(value) for value in group or (None,)) for group in groups)


if __name__ == "__main__":
    for file, content in ((FILE, table()), (CLASSES, classes())):
        file.write_text(content)
        print(f"{file}: {file.stat().st_size:,} bytes")

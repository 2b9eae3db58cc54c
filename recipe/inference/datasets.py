"""The images of a plan, opened and checked, and how they become inputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import torch
from PIL import Image
from torch import Tensor

from recipe.base.channels import to_channels
from recipe.base.errors import RecipeError, fail
from recipe.base.wording import near_file, plural, reason_of
from recipe.data.decode import CROP, fitted
from recipe.data.fingerprinting import fingerprint
from recipe.data.headers import noticed_in
from recipe.data.images import Files, Images, InMemory, Sets, resize, unfit
from recipe.data.views import boxes_of, crops_of
from recipe.plan.plan import Plan
from recipe.plugins.calling import broken, call_hook, placed
from recipe.plugins.field_contracts import ON_ERROR, SKIP, ImageFields
from recipe.plugins.uses import Use
from recipe.runs.provenance import Preprocessing

EVALUATION = ("evaluation_size", "evaluation_crop", "evaluation_whole", "evaluation_interpolation", "evaluation_views")
"""The training settings that state how images are evaluated."""

EVALUATED_ON = "evaluated on"
"""How a note begins that says which images are evaluated instead of the held-out ones."""


def open_sets(
    plan: Plan,
    training: bool = True,
    evaluated: Preprocessing | None = None,
    *,
    on: str = "val",
    external: bool = False,
) -> Sets:
    """Open a plan's images, resized, cropped and normalized as it states.

    Without ``training``, only the held-out ones have to be there. ``evaluated`` is how these are preprocessed, or None
    for what the plan states. ``on`` is which ones to evaluate on, as ``val`` of what this returns: those that are held
    out (``val``) or those of the test (``test``). If ``external``, they are for a model that was trained elsewhere.

    Raises `RecipeError`: E070 if images are missing, unfit for training, or loaded by a trick's own code in another
    size than the evaluation's, and E129 if there are no test images to evaluate on.
    """
    use = plan.images
    assert use is not None
    sets = _evaluated_on(read_sets(use), use, on, external)
    check_sets(sets, use, training)
    stated = plan.training
    mean, std = (to_channels(each, stated.channels) for each in (stated.mean or sets.mean, stated.std or sets.std))
    sets = attrs.evolve(sets, mean=mean, std=std)
    train = _trained_on(sets.train, preprocessing_of(plan, sets), plan)
    made = evaluated or preprocessing_of(plan, sets)
    val = _evaluated(sets.val, made, plan)
    test = None if sets.test is None else _evaluated(sets.test, made, plan)
    sets = attrs.evolve(sets, train=train, val=val, test=test)
    parts = parts_of(sets) if training else {"held-out": val}
    files = {part: images for part, images in parts.items() if isinstance(images, Files)}
    noticed = [note for part, each in files.items() for note in noticed_in(each.paths, part, each.appearance)]
    return attrs.evolve(sets, notes=(*sets.notes, *noticed))


def parts_of(sets: Sets) -> dict[str, Images]:
    """Return the parts of a dataset by what messages call them."""
    return {"training": sets.train, "held-out": sets.val} | ({"test": sets.test} if sets.test is not None else {})


def read_sets(use: Use, *, faulty: bool = False) -> Sets:
    """Return the images of a trick that opens them, as it returns them.

    Raises `RecipeError` (E070), also for their fault unless ``faulty``.
    """
    try:
        sets: Sets = call_hook(use, "open")
        if isinstance(sets, Sets) and sets.fault is not None and not faulty:
            raise sets.fault
    except (MemoryError, RuntimeError) as error:
        reason = reason_of(error, "not enough memory")
        raise fail("E070", f"`{use.word}` can't be read: {reason}", use.source) from error
    except (OSError, ValueError) as error:
        named = isinstance(error, OSError) and error.strerror
        reason = f"{error.strerror.lower()}: {error.filename}" if named else str(error)  # type: ignore[union-attr]
        help = "; ".join(getattr(error, "__notes__", ()))
        if isinstance(error, FileNotFoundError) and error.filename:
            help = near_file(error.filename)
        raise fail("E070", f"`{use.word}`: {reason}", use.named_in(reason) or use.source, help=help) from error
    if why := unfit(sets, ImageFields.of(use.trick).size):
        raise broken(use, "open", why)
    return sets


def what_to_do(use: Use) -> str:
    """Return what to do about images that can't be read, which a trick opens."""
    field = next((field for field in use.declared.fields if field.name == ON_ERROR), None)
    skip = f", or skip them with `{field.word}={SKIP}` in `{use.word}`" if field else ""
    return "repair or remove them" + ("" if ImageFields.of(use.trick).skips else skip)


@contextmanager
def explained(plan: Plan) -> Iterator[None]:
    """A context in which errors about images point at their statement, and say what to do about broken ones."""
    use = plan.images
    assert use is not None
    with placed(use):
        try:
            yield
        except RecipeError as error:
            told = (
                attrs.evolve(one, help=one.help or what_to_do(use)) if one.code == "E070" else one
                for one in error.diagnostics
            )
            raise type(error)(*told) from error


def _evaluated_on(sets: Sets, use: Use, on: str, external: bool) -> Sets:
    """Return sets whose ``val`` are the images to evaluate on, with a note if that is not what they are."""
    if on == "test":
        if sets.test is None:
            raise fail("E129", f"`{use.word}` has no test images", use.source, help="evaluate the held-out images")
        return attrs.evolve(sets, val=sets.test, test=None, notes=(*sets.notes, f"{EVALUATED_ON} the test images"))
    if external and sets.external is not None:
        count = plural(len(sets.external.labels), "image")
        note = f"{EVALUATED_ON} {count} instead of the held-out ones, since the model was trained elsewhere"
        return attrs.evolve(sets, val=sets.external, test=None, notes=(*sets.notes, note))
    return sets


def check_sets(sets: Sets, use: Use, training: bool) -> None:
    """Raise `RecipeError` (E070) if a trick's images can't be evaluated on, or with ``training``, trained on."""
    for lack in lacking(sets, use, training):
        message = "; ".join((lack.message, *(note for note in sets.notes if lack.told(note))))
        raise fail("E070", message, use.source, help=lack.help)
    check_labels(sets, use)


@attrs.frozen
class Lack:
    """What a dataset has too few of, and what to do."""

    message: str
    help: str = ""
    only_ignored: bool = False
    """Whether only what was ignored may be the cause, not how the images are split."""

    def told(self, note: str) -> bool:
        """Whether a note on the dataset may tell the cause."""
        return not self.only_ignored or note.startswith("ignored in ")


def lacking(sets: Sets, use: Use, training: bool) -> Iterator[Lack]:
    """Yield what a trick's images have too few of to be evaluated on or, with ``training``, to be trained on."""
    if training and sets.classes < 2:
        only = f": only `{sets.names[0]}`" if sets.names else ""
        help = "a classifier needs images of at least two classes: add those of another one"
        yield Lack(f"`{use.word}` has fewer than two classes{only}", help, only_ignored=True)
    if training and len(sets.train.labels) < 2:
        yield Lack(f"`{use.word}` has fewer than two images to train on")
    if not len(sets.val.labels):
        yield Lack(f"`{use.word}` has no held-out images to evaluate on")
    if sets.test is not None and not len(sets.test.labels):
        yield Lack(f"`{use.word}` has no images in its test", only_ignored=True)


def check_labels(sets: Sets, use: Use) -> None:
    """Raise `RecipeError` (E070) if a trick's images have labels that are no classes."""
    for part, images in parts_of(sets).items():
        if len(beyond := torch.nonzero((images.labels < 0) | (images.labels >= sets.classes))):
            first, most = int(beyond[0]), sets.classes - 1
            label = f"the label {int(images.labels[first])} of the {part} image {first}"
            raise fail("E070", f"`{use.word}`: {label} is not a class from 0 to {most}", use.source)


def preprocessing_of(plan: Plan, sets: Sets) -> Preprocessing:
    """Return how a plan's images become inputs in evaluation."""
    fields, stated = plan.image_fields, plan.training
    assert fields is not None
    crop = stated.evaluation_crop or (None if stated.evaluation_whole or sets.val.uniform else CROP)
    return Preprocessing(
        stated.evaluation_size or fields.size,
        crop,
        tuple(map(float, sets.mean)),
        tuple(map(float, sets.std)),
        stated.evaluation_interpolation or stated.interpolation,
        stated.evaluation_views or "single",
        orientation=fields.orientation,
        background=fields.background,
        training_size=fields.size,
        training_interpolation=stated.interpolation,
    )


def _trained_on(images: Images, made: Preprocessing, plan: Plan) -> Images:
    """Return training images that are resized as a plan states. Where and when no trick crops, evaluation does."""
    interpolation = plan.training.interpolation
    if isinstance(images, Files):
        return attrs.evolve(images, crop=made.crop, interpolation=interpolation, appearance=made.appearance)
    if not isinstance(images, InMemory):
        return images
    pixels, side = images.pixels, images.pixels.shape[-1]
    original = pixels if images.original is None else images.original
    if interpolation != "bilinear":
        pixels = resize(original, side, interpolation)
    croppers = plan.hooked("crop_box")
    if not plan.training.evaluation_crop or (croppers and not croppers[0].during):
        return _changed(images, pixels)
    cropped = _cropped(original, attrs.evolve(made, size=side, interpolation=interpolation, views="single"))
    return attrs.evolve(_changed(images, pixels), unboxed=cropped) if croppers else _changed(images, cropped)


def _changed(images: InMemory, pixels: Tensor, crops: int = 1) -> InMemory:
    """Return images in memory with other pixels, and the fingerprint of those that they had."""
    known = images.fingerprint if pixels is images.pixels else fingerprint(images)
    return attrs.evolve(images, pixels=pixels, crops=crops, original=None, fingerprint=known)


def _evaluated(images: Images, made: Preprocessing, plan: Plan) -> Images:
    """Return held-out images that are preprocessed like this. Those in memory are only cropped if the plan states it.

    Raises `RecipeError`: E023 for several crops of whole images, E070 for images that are loaded by a trick's own code,
    in another size.
    """
    assert plan.images is not None
    assert plan.image_fields is not None
    maker = next((use for name in EVALUATION for use in plan.makers.get(name, ())), plan.images)
    whole = made.crop is None or not (isinstance(images, Files) or plan.training.evaluation_crop)
    if whole and crops_of(made.views) > 1:
        message = f"`{made.views}` needs a crop, but the images of `{plan.images.word}` are evaluated whole"
        raise fail("E023", message, maker.span, help=f"state one, such as `{maker.word} crop=90% views={made.views}`")
    if isinstance(images, Files):
        return attrs.evolve(
            images,
            size=made.size,
            crop=made.crop,
            interpolation=made.interpolation,
            views=made.views,
            appearance=made.appearance,
        )
    if isinstance(images, InMemory):
        original = images.pixels if images.original is None else images.original
        if plan.training.evaluation_crop:
            return _changed(images, _cropped(original, made), crops_of(made.views))
        plain = (made.size, made.interpolation) == (images.pixels.shape[-1], "bilinear")
        pixels = images.pixels if plain else resize(original, made.size, made.interpolation)
        return _changed(images, pixels)
    stated = plan.training
    changed = stated.evaluation_crop or stated.evaluation_whole or crops_of(made.views) > 1
    if changed or made.size != plan.image_fields.size:
        message = f"`{plan.images.word}` loads its images itself, so evaluation can't change their size or their crop"
        raise fail("E070", message, maker.span, help=f"remove `size` and `crop` from `{maker.word}`")
    return images


def _cropped(pixels: Tensor, made: Preprocessing) -> Tensor:
    """Crop and resize images in memory as `recipe.data.decode` does with files: uint8 (N × crops, 3, size, size)."""
    assert made.crop is not None
    boxes, images = boxes_of(made.views, made.crop), pixels.permute(0, 2, 3, 1).contiguous().numpy()
    each = (
        fitted(Image.fromarray(image), made.size, box, "an image", made.interpolation)
        for image in images
        for box in boxes
    )
    return torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in each])

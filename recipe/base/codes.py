"""The code of every diagnostic, with its meaning and remedy. `recipe explain CODE` prints them."""

from __future__ import annotations

import re

_TEXT = r"""
E001 file can't be read
    The path does not exist, is a folder, or you lack permission to read it.
E002 not a text file
    A recipe is plain UTF-8 text. The error names the first byte that isn't.
E003 byte order mark
    Some editors put an invisible mark before the first letter. `recipe fmt` removes it.
E004 carriage return
    Lines must end in LF alone. `recipe fmt` fixes a file with CR LF line endings.
E005 recipe too large
    A file can have at most 64 KiB and 1,000 statements. With the files that it includes and the statements on top of
    it, a recipe can have at most 128 KiB, 2,000 statements and 20,000 words.
E010 malformed statement
    A statement is a verb followed by its items, separated by spaces: `lr 0.1 per 256 warmup 5 cosine`. It ends at
    `;` or at the end of the line.
E011 invalid word
    A word is a number (`0.1`, `1e-4`, `10%`), a name that starts with a letter or `_`, or a string in double quotes.
    Paths need quotes. A number can have at most 64 characters, a name 256 and a string 4,096.
E012 unterminated or invalid string
    A string must be closed with `"` on the same line. Inside it, only `\"` and `\\` are valid escapes.
E020 unknown verb
    The first word of a statement must be a verb. Run `recipe tricks` to list the installed ones, or
    `recipe tricks --search WORDS` to find them by the names that they have elsewhere.
E021 unknown word
    The word is neither a clause of this verb nor a value that it accepts. Run `recipe tricks VERB` to list both.
E022 unknown field
    `name=value` sets a field of the verb or clause before it. Run `recipe tricks VERB NAME` to list its fields.
    `from=` and `until=` limit a trick to a part of the training, but only one that acts step by step.
E023 wrong type of value
    The field expects a different kind of value. The message says which.
E024 value out of range
    The message says which values the field accepts.
E025 missing value
    The verb or clause needs a value that has no default. For example, `warmup` needs its number of epochs.
E026 too many values
    Every field of the verb or clause already has a value, or the value follows a `field=value` and does not name its
    own field: write `size=32 workers=4`, not `size=32 4`. Only a field that takes several values takes more of them.
E027 field set twice
    A field can be set only once, either by position or by name.
E028 stated twice
    Within one layer, such as a file, you can state a verb's own value and each of its clauses only once. To replace a
    value from an included file, state it in the file that includes it or on the command line.
E030 conflicting tricks
    Two tricks conflict if both decide the same thing, such as the stride of a block (`tweak A`, `tweak B`) or the
    decay of the learning rate (`lr cosine`, `lr step`), if one excludes the other, or if both change the same
    training setting and neither declares that it comes after the other. Remove one of them. To remove one that comes
    from a lower layer, use `drop`.
E031 missing required trick
    The trick requires another trick that the recipe does not have.
E032 circular ordering
    Tricks declare which tricks they come after. These declarations form a cycle, so the tricks can't be combined until
    their authors fix it.
E033 unknown metric
    A run can compare its epochs by `top1`, `balanced` or `loss`, or by a metric of a trick that the recipe states. Run
    `recipe explain FILE` to see the tricks of a recipe.
E041 circular include
    The files include each other.
E042 include outside the folder
    An included file must be in the folder of the recipe that you name, or in one of its subfolders, so that a recipe
    can't read files elsewhere.
E043 nested too deeply
    Includes can be nested at most 16 deep, with at most 100 included files in total. Teachers of teachers can be
    nested at most 4 deep.
E044 nothing to drop
    `drop` removes a statement of a lower layer: an included file, or the recipe file that command-line statements
    override. No lower layer has this statement.
E050 no base
    Every recipe needs a model, such as `base resnet50`.
E060 teacher has errors
    The recipe that `loss distill` names has errors. If it is in the recipe's folder or a subfolder, its errors
    follow. Otherwise, only their codes are shown.
E061 teacher of itself
    A recipe can't be its own teacher, directly or through other recipes.
E070 no images, or broken ones
    The dataset is missing, empty, or not in the format that the clause reads, or images can't be read: they are
    damaged, empty, in no format that is read, or have pixels without a known meaning. A run looks at the headers of all
    images before it trains, and names the broken ones. Repair or remove them, or skip them with `on-error=skip` in
    the statement that names the dataset. `recipe show --data` names all of them.
E071 too few outputs
    The model has fewer outputs than the dataset has classes.
E072 mismatched teacher
    The teacher and the student must have the same number of classes, which are joined by their names if both are
    named.
E080 broken plugin
    The package that registers the word is broken. You can still use the rest of the vocabulary.
E081 ambiguous word
    Either two packages register the same words, or a word would be both a clause and a value, or a plugin uses a word
    that already has a meaning in the language, which takes precedence.
E101 no site for the trick
    The model has no place where the trick applies: `tweak C` needs a 7×7 convolution at the input, `tweak D` a strided
    1×1 convolution in a shortcut, `init zero-gamma` residual blocks that end in a normalization layer, and `freeze to`
    the address of a module that runs before the last layer.
E102 unusable model
    The model can't be built, can't be traced by torch.fx, or does not return logits, or its weights are those of
    another model.
E103 unsupported image size
    The network can't process images of this size. To change the size, set the dataset's `size=`. For a recipe without a
    dataset, pass `size=` to `recipe.compile`.
E104 undeclared parameter change
    A rewrite added or removed a parameter that its edits do not declare. This is a bug in the trick.
E105 failed rewrite
    The trick returned edits that can't be applied to the graph. This is a bug in the trick.
E110 not available on this device
    The device does not exist, or `--strict` rejected the precision that would be substituted.
E111 file can't be written
    The disk is full, the folder is not writable, or an export would overwrite a file. A link in the place of a run's
    file is not followed, and a run stops if its folder is removed or replaced. Files written earlier are intact.
E112 training diverged
    The loss or a gradient is no longer finite. Lower the learning rate, lengthen the warmup, or use `lr … per 256`. If
    a hook of a trick returned the first such value, the error names it.
E113 folder of another run, or with other files
    A run never overwrites another one. Choose another folder, or resume the run with `--resume`. A run whose recipe,
    images or files have changed resumes only with `--allow-changed`. A run whose classes have changed, or a checkpoint
    of another format version, can't be resumed. A folder with other files, such as a dataset, is never used for a run.
E114 torch compilation failed
    On a CPU, `compile` needs a C++ compiler. Install one, or remove `compile` from the recipe.
E115 out of memory
    Split each batch with `batch N micro M`, or use smaller images.
E116 folder in use
    Another run is writing to this folder. The lock is released when its process exits, even if it crashes.
E117 another process exited
    One of the processes that train together, or that load images for them, exited early or could not be started. For
    the cause, see its own message or, if it was killed, the system log. Its checkpoints are intact.
E118 invalid schedule or time limit
    `--save-every` accepts `epoch`, a number of steps such as `500`, a duration such as `15m`, or several of these.
    `--max-time` accepts a duration.
E119 already distributed
    The command is already running under torchrun. `--nproc` would start more processes inside each of them.
E120 no usable run
    Name the folder of a run. It must contain `recipe.lock` and, from the same run, `summary.json` and
    `model.safetensors`, or a checkpoint if the run was stopped. None of these files may have been edited or damaged.
E121 unsupported export
    The format can't express a change that the recipe makes to the model, it does not support `--deploy`, or a package
    that the export needs is not installed.
E122 export mismatch
    The exported model returns different logits from the run's model or, with `--deploy`, makes other inputs of images
    than the run's evaluation, or returns other probabilities. Nothing was written.
E123 package can't be created
    The name is not valid for pip, its words are already in use, or the folder already exists. Nothing was written.
E124 nothing to study
    An ablation turns tricks on and off: the ones that the recipe states, or the ones that you name with `--over`,
    each once. Its modes are `stack`, `drop`, `add` and `screen`. `--holdout` needs runs that recorded their results for
    each image, all on the same ones, enough held-out images, and a recipe without images for a test.
E125 unusable launcher
    The scheduler is unavailable, does not support the option, or needs a package that is not installed.
E126 failed run in an ablation
    The run failed with the error shown; it did not diverge. Finished runs are kept. Rerun the command to resume the
    ablation.
E127 invalid budget
    The value is not a duration, is too short to train every row for one epoch, or would choose the epochs that
    `--over` studies.
E128 no images to classify
    A path does not exist, a pattern matches no file, a folder has no images, or no image is named. In a folder and its
    subfolders, images are found by their endings.
E129 evaluation or prediction not possible
    Over a run, statements may replace only the data and the batch. Its classes must include all classes of the images.
    A recipe needs pretrained weights for the whole model, whose classes are matched with those of the images by name,
    and a dataset to evaluate on. The outputs of the model must be finite.
E130 unusable tracker
    The tracker is unknown, a package that it needs is missing, or it failed. A training is not affected: log the run
    again with `recipe log`.
E131 not for a loop of your own
    `recipe.batches` needs a program whose recipe names a dataset. It can't open teachers or the features of layers,
    which only `recipe.run` does.
E132 lost weights
    The run kept the weights of its best epoch in `model.safetensors`, and this file is missing or damaged. No
    checkpoint contains them, because later epochs followed. Restore the file, or train again in another folder.
E133 teacher that ended early
    A student learns from a teacher that was trained to its end. This one was asked to end before that. Resume to train
    both.
E134 no training to finish
    `recipe finish` ends a training in progress. Nothing trains in this folder. The help says how to use its run as it
    is, or how to resume it.
W001 unusual setting
    You can use the recipe, but a trick reports something unusual in it.
W002 contradicting evidence
    You can use the recipe, but in published measurements this combination performed worse. Those measurements were
    made on ImageNet, so your dataset may behave differently. `recipe explain` also shows evidence in favor of a recipe.
"""

CODES: dict[str, tuple[str, str]] = {
    code: (title, " ".join(text.split()))
    for code, title, text in re.findall(r"^(\w+) (.+)\n((?:    .+\n)+)", _TEXT, re.MULTILINE)
}
"""Title and text of each code."""

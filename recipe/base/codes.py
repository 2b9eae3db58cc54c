"""Every code that a diagnostic may carry, with what it means and what to do; `recipe explain CODE` shows it."""

from __future__ import annotations

import re

_TEXT = r"""
E001 a file can't be read
    The path does not exist, is a folder, or may not be read.
E002 not a text file
    A recipe is plain UTF-8 text. The byte that is none is named.
E003 byte order mark
    Some editors put an invisible mark before the first letter. `recipe fmt` removes it.
E004 carriage return
    Lines end in LF alone. `recipe fmt` mends a file with CR LF line ends.
E005 too large
    A recipe has at most 64 KiB and 1,000 statements.
E010 a statement is not well formed
    A statement is a verb and its items, a blank between them: `lr 0.1 per 256 warmup 5 cosine`. Statements end at
    `;` or at the end of the line.
E011 text that is no word
    A word is a number (`0.1`, `1e-4`, `10%`), a name that begins with a letter, or a string in double quotes. Paths
    need quotes.
E012 a string without an end
    A string ends on its line with `"`. Inside it, write `\"` and `\\`.
E020 unknown verb
    The first word of a statement is a verb. `recipe tricks` lists those that are installed.
E021 unknown word
    The word is neither a clause of this verb nor a value that it takes. `recipe tricks VERB` lists them.
E022 unknown field
    `name=value` names a field of the verb or clause before it. `recipe tricks VERB NAME` lists them.
E023 a value of the wrong kind
    The field takes something else: the message says what.
E024 a value out of range
    The message says which values the field takes.
E025 something is missing
    The verb or clause needs a value that has no default: `warmup` needs its epochs.
E026 a value too many
    Every field of the verb or clause has its value already.
E027 a field twice
    A field gets one value, by its place or by its name.
E028 said twice
    Within one file, a verb's own value and each of its clauses are stated once. What a file says may be replaced by
    one that includes it, or by statements on the command line.
E030 two tricks clash
    Both decide the same thing, such as the stride of a block (`tweak A`, `tweak B`) or the decay of the learning
    rate (`lr cosine`, `lr step`), or one excludes the other, or both set the same setting of the training and
    neither declares that it comes after the other. Leave one out; a layer above takes one out with `drop`.
E031 a trick lacks another
    The trick declares that it needs another one, which the recipe does not have.
E032 an order that can't be
    Tricks declare what they come after. These declare a circle; their authors have to settle it.
E041 an include circle
    The files include each other, so none of them can be read first.
E042 an include outside of the folder
    A recipe includes files of its own folder and those below it, so that reading one opens nothing else.
E043 nested too deep
    Includes nest at most 16 deep and are at most 100 files in all; teachers of teachers nest at most 4 deep.
E044 nothing to drop
    `drop` takes out what a layer below says: an included file, or the file that a command line lies over.
E050 no base
    A recipe begins with a model: `base resnet50`.
E060 the teacher has errors
    The recipe that `loss distill` names can't be used. Its own errors follow where it lies in the folder of the
    recipe or in a folder of it; of one that lies elsewhere only their codes are told.
E061 a teacher of itself
    A recipe that is its own teacher, directly or through others, could never be trained.
E070 no images
    The data set is not where the recipe says, is empty, or is not in the form that the clause reads.
E071 too few outputs
    The model has fewer outputs than the data has classes.
E072 the teacher does not fit
    Teacher and student must tell the same number of classes apart.
E080 a broken plugin
    The package that registers the word can't be used. The rest of the vocabulary can.
E081 an ambiguous word
    Two packages register the same words, a word would be a clause and a value at once, or a plugin's word has a
    meaning in the language already, which it keeps.
E101 a tweak without a site
    The model has no place that the tweak is about: `tweak C` needs a 7×7 convolution where images enter, `tweak D`
    a strided 1×1 convolution in a shortcut, `init zero-gamma` residual blocks that end in a normalisation.
E102 a model that can't be used
    It can't be built, can't be traced by torch.fx, or does not return logits.
E103 images that do not fit
    The network can't take images of this size; `size=` of the data set changes it.
E104 a parameter unaccounted for
    A rewrite made or lost a parameter that its edits don't tell of: the trick's fault.
E105 a rewrite failed
    The trick gave edits that the graph can't take: an error of the trick.
E110 not on this device
    The device is not there, or --strict refused what it would do instead.
E111 a file can't be written
    The disk is full, the folder may not be written, or an export would write over a file. What was written before
    is whole.
E112 the training diverged
    The loss is no longer a finite number. Lower the learning rate, lengthen the warmup, or use `lr … per 256`.
E113 a folder that holds another run
    A run is never written over. Name another folder, or go on with --resume.
E114 compilation by torch failed
    `compile` needs a C++ compiler on a CPU. Leave it out, or install one.
E115 too little memory
    Compute each batch in parts with `batch N micro M`, or use smaller images.
E116 a folder in use
    Another run writes to the folder at this moment. The lock ends with its process, however that ends.
E117 another process is gone
    Of several processes that train together one ended early. Its own message, or the system's log where it was
    killed, tells why. What it saved is whole.
E118 not a cadence
    `--save-every` takes `epoch`, steps such as `500`, a time such as `15m`, or several.
E119 already several processes
    Under torchrun there are several processes already; `--nproc` would start more in each of them.
E120 no finished run
    An export takes the folder of a run that has ended: `recipe.lock`, `summary.json` and `model.safetensors` are in
    it, and belong to each other.
E121 an export that can't be
    The format can't express what the recipe did to the model, or a package that writes it is not installed.
E122 an export that differs
    What was exported gives other logits than the run's own model. Nothing was written.
E123 a package that can't be begun
    Its name is none that pip takes, its words are taken, or the folder is there already. Nothing was written.
E124 nothing to study
    An ablation turns tricks on and off: those that the recipe states, or those that `--over` names, each once. Its
    modes are `stack`, `drop` and `add`.
E125 a launcher that can't be used
    The scheduler is not there, does not take the option, or the package that speaks to it is not installed.
E126 a run of an ablation failed
    It did not diverge, but ended with an error, which is told. What has run is kept: the same command goes on.
E127 a budget that can't be
    It is no time, too short for one epoch of every row, or chooses the epochs that `--over` studies.
W001 something to look at
    The recipe can be used as it is, but a trick points at something unusual in it.
W002 a table speaks against it
    The recipe can be used as it is, but published measurements of such a combination were worse than without. They
    were made on ImageNet; your images may differ. `recipe explain` also shows what speaks for a recipe.
"""

CODES: dict[str, tuple[str, str]] = {
    code: (title, " ".join(text.split()))
    for code, title, text in re.findall(r"^(\w+) (.+)\n((?:    .+\n)+)", _TEXT, re.MULTILINE)
}
"""Title and text of each code."""

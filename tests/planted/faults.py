"""Faults to plant in the code, one at a time, to check that the test suite finds them."""

from __future__ import annotations

import attrs


@attrs.frozen
class Fault:
    """A change that makes the code wrong, and the tests that should find it."""

    name: str
    file: str
    before: str
    after: str
    tests: str
    """Files or folders of tests, separated by spaces. If these pass, all tests run."""


FAULTS = (
    Fault(
        "a loss term with the wrong sign",
        "recipe/training/objective.py",
        'loss = loss + call_hook(use, "loss_term"',
        'loss = loss - call_hook(use, "loss_term"',
        "tests/tricks",
    ),
    Fault(
        "label smoothing over one class too many",
        "tricks/loss_smooth.py",
        "epsilon / (classes - 1)",
        "epsilon / classes",
        "tests/tricks",
    ),
    Fault(
        "a resume that loses the average",
        "recipe/training/trainer_state.py",
        "trainer.average.model.load_state_dict(state.average or state.model)",
        "trainer.average.model.load_state_dict(state.model)",
        "tests/runs tests/durability",
    ),
    Fault(
        "a resume that loses the momentum",
        "recipe/training/trainer_state.py",
        "    trainer.update.optimizer.load_state_dict(state)\n",
        "",
        "tests/runs tests/durability",
    ),
    Fault(
        "inputs that lose channels-last",
        "recipe/training/trainer.py",
        "inputs = laid_out(self.sized(inputs, progress), training)",
        "inputs = self.sized(inputs, progress).contiguous()",
        "tests/gpu tests/training tests/runs",
    ),
    Fault(
        "overlapping shares of two processes",
        "recipe/training/loading.py",
        "start, stop = (2 * (pairs * at // world) for at in (rank, rank + 1))",
        "start, stop = (2 * (pairs * at // world) for at in (max(0, rank - 1), rank + 1))",
        "tests/durability",
    ),
    Fault(
        "a gradient that is not averaged over processes",
        "recipe/training/trainer.py",
        "weight = self.ranks.world / (batch.total",
        "weight = 1 / (batch.total",
        "tests/durability",
    ),
    Fault(
        "identical augmentations in each epoch",
        "recipe/data/draws.py",
        "key = hashed(self.seed, zlib.crc32(self.stream.encode()), self.epoch, images",
        "key = hashed(self.seed, zlib.crc32(self.stream.encode()), 0, images",
        "tests/tricks",
    ),
    Fault(
        "images in the same order in each epoch",
        "recipe/data/draws.py",
        'zlib.crc32(b"order"), epoch, np.arange',
        'zlib.crc32(b"order"), 0, np.arange',
        "tests/tricks tests/data",
    ),
    Fault(
        "a cosine that ends an epoch late",
        "recipe/plugins/progress.py",
        "total = self.epochs - self.warmup\n",
        "total = self.epochs - self.warmup + 1\n",
        "tests/tricks",
    ),
    Fault(
        "an update with a gradient that is not finite",
        "recipe/training/update.py",
        "            elif not guard.broken:\n",
        "            else:\n",
        "tests/durability",
    ),
    Fault(
        "the newest checkpoint is removed, not the oldest",
        "recipe/runs/checkpoints.py",
        "for old in (*saved[:at][:-keep], *saved[at:]):",
        "for old in (*saved[:at][keep:], *saved[at:]):",
        "tests/durability",
    ),
    Fault(
        "a file that is renamed before it is on the disk",
        "recipe/base/files.py",
        "            os.fsync(file.fileno())\n",
        "",
        "tests/durability",
    ),
    Fault(
        "tweak D pools with padding in the mean",
        "tricks/tweak_d.py",
        '"count_include_pad": False',
        '"count_include_pad": True',
        "tests/graph",
    ),
    Fault(
        "zero gamma in the first normalization of a block",
        "tricks/init_zero_gamma.py",
        'layer = block.last_norm[0].partition("#")[0]',
        'layer = block.last_norm[0].partition("#")[0].replace("bn2", "bn1").replace("bn3", "bn1")',
        "tests/graph tests/compiler",
    ),
    Fault(
        "a rewrite with undeclared new parameters",
        "recipe/graph/apply.py",
        "        if name in after and not name.startswith(made):\n",
        "        if False:\n",
        "tests/graph",
    ),
    Fault(
        "a diff that misses a changed value",
        "recipe/plan/changes.py",
        "        if identities[0] == identities[1]:\n",
        "        if identities[0] == identities[1] or field.word == a.declared.fields[-1].word:\n",
        "tests/compare",
    ),
    Fault(
        "an include from outside the folder of the recipe",
        "recipe/language/overlays.py",
        "    if not path.is_relative_to(root):\n",
        "    if False:\n",
        "tests/language/test_layers.py tests/plan/test_bad_input.py",
    ),
    Fault(
        "crops with swapped sides",
        "recipe/data/decode.py",
        "top, left, height, width = box.tolist()",
        "left, top, height, width = box.tolist()",
        "tests/data/test_decode.py",
    ),
    Fault(
        "top-5 computed from four",
        "recipe/training/meters.py",
        ".topk(5)",
        ".topk(4)",
        "tests/training",
    ),
    Fault(
        "a difference of rows with the wrong sign",
        "recipe/ablation/report/table.py",
        "unit[at] - unit[line.reference]",
        "unit[line.reference] - unit[at]",
        "tests/ablation",
    ),
    Fault(
        "an ablation that reuses the run of another recipe",
        "recipe/ablation/cells/store.py",
        'if summary.get("digest") != self.plan.digest or self.is_of_other_data():',
        "if not summary:",
        "tests/ablation",
    ),
    Fault(
        "exported source that normalizes by the wrong deviation",
        "recipe/exporters/module.py.jinja",
        "STD = {{ run.preprocessing.std }}",
        "STD = {{ run.preprocessing.mean }}",
        "tests/exporters",
    ),
    Fault(
        "fp16 without a loss scaler",
        "recipe/devices/precision.py",
        "Precision(asked, dtype, dtype is torch.float16, device, reason)",
        "Precision(asked, dtype, False, device, reason)",
        "tests/devices",
    ),
    Fault(
        "a signal that is ignored",
        "recipe/training/loop.py",
        "                if number and not over:\n",
        "                if number and over:\n",
        "tests/runs tests/durability",
    ),
    Fault(
        "a cache that does not notice a changed weights file",
        "recipe/compiler/cache.py",
        '"files": sorted(_files(plan)),',
        '"files": [],',
        "tests/compiler",
    ),
)

"""Tricks that only make settings: their values by default and as stated in a recipe."""

import pytest

from tests.helpers import bind


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("", "batch", 256),
        ("batch 1024", "batch", 1024),
        ("", "micro", None),
        ("batch 64 micro 16", "micro", 16),
        ("", "epochs", 120),
        ("epochs 200", "epochs", 200),
        ("", "rate", 0.1),
        ("lr 0.5", "rate", 0.5),
        ("", "rate_per_epoch", False),
        ("lr every=epoch", "rate_per_epoch", True),
        ("dialect torchvision", "rate_per_epoch", True),
        ("dialect torchvision; lr every=batch", "rate_per_epoch", False),
        ("", "warmup", 0),
        ("lr warmup 5", "warmup", 5),
        ("", "weight_decay", 1e-4),
        ("decay 5%", "weight_decay", 0.05),
        ("", "aux_weight", 0.4),
        ("", "precision", "fp32"),
        ("precision fp16", "precision", "fp16"),
        ("precision bf16", "precision", "bf16"),
        ("", "channels_last", True),
        ("layout contiguous", "channels_last", False),
        ("", "compile_mode", None),
        ("compile", "compile_mode", "default"),
        ("compile max-autotune", "compile_mode", "max-autotune"),
        ("", "seed", 0),
        ("seed 7", "seed", 7),
    ],
)
def test_settings_of_the_training(text, setting, value):
    assert getattr(bind(f"base resnet18; {text}").training, setting) == value


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        ("paper", ["init xavier", "optimizer nag"]),
        ("gluoncv", ["init kaiming", "optimizer nag"]),
        ("torchvision", ["init stock", "optimizer sgd"]),
    ],
)
def test_a_dialect_fills_in_what_the_recipe_leaves_open(dialect, words):
    plan = bind(f"base resnet18; dialect {dialect}")
    assert [use.word for use in plan.uses if use.declared.verb in ("init", "optimizer")] == words

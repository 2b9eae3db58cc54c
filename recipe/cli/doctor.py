"""``recipe doctor``: show devices, versions and plugins, and measure what runs fast on this machine."""

from __future__ import annotations

import os
import platform
import timeit
from collections import Counter
from typing import TYPE_CHECKING

import click

from recipe.base.errors import fail
from recipe.base.identity import version_of
from recipe.base.printable import printable
from recipe.base.wording import plural
from recipe.cli.inputs import loaded, vocabulary
from recipe.exporters.formats import installed
from recipe.trackers.tracker import TRACKERS

if TYPE_CHECKING:
    import torch

PACKAGES = ("recipe-compiler", "torch", "torchvision", "lark", "attrs", "click", "numpy", "scikit-learn", "timm")


@click.command("doctor", short_help="Show devices, versions and plugins, and measure speed.")
def command() -> None:
    """Show devices, versions and plugins, and measure what runs fast on this machine.

    On each device, measures the speed of a 3×3 convolution in each precision and memory layout, in GFLOP/s. Also
    reports plugins that can't be used.

    \b
    Find out which precision and layout to train in:
        recipe doctor
    """
    click.echo(f"python {platform.python_version()} on {platform.platform()}")
    for name in PACKAGES:
        missing = "is not installed" + (" (extra `timm`)" if name == "timm" else "")
        click.echo(f"  {name} {version_of(name) or missing}")
    _plugins()
    try:
        import torch

        from recipe.devices.choice import cores
        from recipe.devices.precision import BF16, cpu_bf16
    except Exception as error:  # a damaged third-party package can raise anything
        raise fail("E110", f"torch can't be imported: {type(error).__name__}: {error}") from error
    held = f" ({BF16} is {cpu_bf16()})" if os.environ.get(BF16) else ""
    _device(torch.device("cpu"), f"cpu: {plural(cores(), 'core')}, {plural(torch.get_num_threads(), 'thread')}{held}")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        title = f"cuda:{index}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB"
        _device(torch.device("cuda", index), title)


def _plugins() -> None:
    words = vocabulary(())
    tricks, errors = loaded(words, words.keys())
    errors += [*(refused.error for refused in words.refused), *installed()[1], *TRACKERS.installed()[1]]
    for message in dict.fromkeys(error.diagnostics[0].message for error in errors):  # both report a damaged package
        click.echo(f"broken: {printable(message)}")
    for package, count in sorted(Counter(package for _, package in tricks).items()):
        click.echo(f"tricks of {printable(package)}: {count}")


def _device(device: torch.device, title: str) -> None:
    import torch

    from recipe.devices.precision import precision

    click.echo(title)
    for asked in ("fp32", "bf16", "fp16"):
        chosen = precision(asked, device)
        if chosen.note:
            click.echo(f"  {chosen.note}")
            continue
        speeds = [
            f"{name} {_speed(device, chosen.dtype, layout):,.0f} GFLOP/s"
            for name, layout in (("channels-last", torch.channels_last), ("contiguous", torch.contiguous_format))
        ]
        click.echo(f"  {asked}: {', '.join(speeds)} (3×3 convolution, 128 channels, 28×28)")


def _speed(device: torch.device, dtype: torch.dtype, layout: torch.memory_format) -> float:
    """Return the GFLOP/s of a forward convolution: the best of three timings of about 0.1 s each."""
    import torch

    images, channels, side = 32 if device.type == "cpu" else 256, 128, 28
    x = torch.randn(images, channels, side, side, device=device, dtype=dtype).contiguous(memory_format=layout)
    conv = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(device, dtype)
    conv = conv.to(memory_format=layout)

    def step() -> None:
        conv(x)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    timer = timeit.Timer(step)
    with torch.no_grad():
        step()
        number = 1 + int(0.1 / timer.timeit(1))
        seconds = min(timer.repeat(3, number)) / number
    return 2 * images * side * side * channels * channels * 9 / seconds / 1e9

"""``recipe doctor``: devices, versions, plugins, and what this machine does fast."""

from __future__ import annotations

import os
import platform
import time
from typing import TYPE_CHECKING

import click

from recipe.base.errors import RecipeError, fail
from recipe.base.identity import version_of
from recipe.cli.inputs import vocabulary

if TYPE_CHECKING:
    import torch

PACKAGES = ("recipe-compiler", "torch", "torchvision", "lark", "attrs", "click", "numpy", "scikit-learn", "timm")


@click.command("doctor", short_help="Show devices, versions, plugins, and what runs fast here.")
def command() -> None:
    """Show devices, versions and plugins, and time a convolution in each precision and layout on each device."""
    click.echo(f"python {platform.python_version()} on {platform.platform()}")
    for name in PACKAGES:
        missing = "is not installed" + (" (extra `timm`)" if name == "timm" else "")
        click.echo(f"  {name} {version_of(name) or missing}")
    _plugins()
    try:
        import torch

        from recipe.devices.choice import cores
        from recipe.devices.precision import BF16, cpu_bf16
    except Exception as error:  # as a damaged package of others makes it fail
        raise fail("E110", f"torch can't be imported: {type(error).__name__}: {error}") from error
    held = f" ({BF16} is {cpu_bf16()})" if os.environ.get(BF16) else ""
    _device(torch.device("cpu"), f"cpu: {cores()} cores, {torch.get_num_threads()} threads{held}")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        _device(
            torch.device("cuda", index), f"cuda:{index}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB"
        )


def _plugins() -> None:
    words = vocabulary(())
    packages: dict[str, int] = {}
    for key in words.keys():  # noqa: SIM118
        try:
            package = words.declared(*key).package
            packages[package] = packages.get(package, 0) + 1
        except RecipeError as error:
            click.echo(f"broken: {error.diagnostics[0].message}")
    for refused in words.refused:
        click.echo(f"broken: {refused.error.diagnostics[0].message}")
    for package, count in sorted(packages.items()):
        click.echo(f"tricks of {package}: {count}")


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
    """GFLOP/s of a forward convolution, the best of three timings of at least 0.1 s each."""
    import torch

    images, channels, side = 32 if device.type == "cpu" else 256, 128, 28
    x = torch.randn(images, channels, side, side, device=device, dtype=dtype).contiguous(memory_format=layout)
    conv = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(device, dtype)
    conv = conv.to(memory_format=layout)
    flops, best = 2 * images * side * side * channels * channels * 9, 0.0

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    with torch.no_grad():
        conv(x)
        wait()
        for _ in range(3):
            done, began = 0, time.perf_counter()
            while time.perf_counter() - began < 0.1:
                conv(x)
                wait()
                done += 1
            best = max(best, done * flops / (time.perf_counter() - began))
    return best / 1e9

"""input [mean=M M M] [std=S S S] [interpolation=NAME] [channels=1|3]: how images become inputs of the model.

Pixels, from 0 to 1, are normalized as (pixel − mean) / std, per channel. Pretrained weights suggest the values that
they were trained with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import (
    INTERPOLATIONS,
    Site,
    Substitute,
    Training,
    Trick,
    choice,
    fail,
    integer,
    numbers,
    to_channels,
    trick,
)

if TYPE_CHECKING:
    from recipe.api import Net

Channels = tuple[float, ...]

OF_CHANNELS = ("grayscale", "channels", "in-chans", "in-channels", "input-channels", "num-channels")


@trick(
    "input",
    position=42,
    writes=("run", "channels"),
    implied=True,
    known_as={"normalize": "", "normalization": "", "preprocessing": "", **dict.fromkeys(OF_CHANNELS, "channels=1")},
)
class Input(Trick):
    """Normalize images with this mean and deviation, and resize them with this interpolation.

    That holds for training and evaluation. The trick is part of a recipe if the recipe states it, or if pretrained
    weights suggest its values. Without it, images have the mean and deviation of their dataset.

    With ``channels=1``, the model takes gray images: its first convolution is replaced by one with a single input
    channel, and weights for three are added up. Images are augmented in color, and then become gray as the sum of
    0.299 red, 0.587 green and 0.114 blue, and so do a mean and a deviation of three channels.

    Interpolation is antialiased, except where a random crop of images that are held in memory is scaled up to their own
    size on the training device.
    """

    mean: Channels | None = numbers(
        None,
        "mean of the red, green and blue channel, or of all, for pixels from 0 to 1; if omitted, that of the dataset",
        count=(1, 3),
        minimum=0,
        maximum=1,
    )
    std: Channels | None = numbers(
        None,
        "standard deviation of the three channels, or of all; if omitted, that of the dataset",
        count=(1, 3),
        minimum=1e-4,
        maximum=1,
    )
    interpolation: str = choice("bilinear", "how images are resized", of=INTERPOLATIONS)
    channels: int | None = integer(
        None, "channels of the model's inputs: 3, or 1 for gray images; 3 if omitted", of=(1, 3)
    )

    def configure(self, training: Training) -> Mapping[str, Any]:
        channels = self.channels or 3
        stated = {name: value for name, value in (("mean", self.mean), ("std", self.std)) if value is not None}
        scale = {name: to_channels(value, channels) for name, value in stated.items()}
        return {**scale, "interpolation": self.interpolation, "channels": channels}

    def rewrite(self, net: Net) -> Iterable[Site] | None:
        """Replace the single convolution on the image by one with this many input channels."""
        if self.channels is None:
            return None
        from recipe.api import convolution_like

        takes = None if net.stem is None else net.stem[1].in_channels
        if takes not in (1, 3) and net.channels == self.channels:
            return None
        if net.stem is None:  # the first layer isn't a single convolution
            return ()
        address, convolution = net.stem
        if takes == self.channels:
            return (Site(address),)
        what, help = f"`{address}`, a {type(convolution).__name__},", "remove `channels`: gray images are then RGB"
        if takes not in (1, 3):
            raise fail("E101", f"{what} takes {takes} channels, not the image itself", help=help)
        layer = convolution_like(convolution, self.channels)
        if layer is None:
            raise fail("E101", f"{what} can't be made for other channels", help=help)
        return (Site(address, (Substitute(address, ((address, layer),)),)),)

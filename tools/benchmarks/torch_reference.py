"""The published networks as torch modules, written from their table of layers.

Needs torch (`make torch`).  Used to measure against and to compute reference gradients; the
package itself never imports it.
"""

from __future__ import annotations

from torch import Tensor, nn


def generator(features: int = 64, blocks: int = 6) -> nn.Module:
    """CycleGAN's ResNet generator, with its names of keys and its dead biases."""
    f = features
    return _Model(
        [nn.ReflectionPad2d(3), *_normed(nn.Conv2d(3, f, 7))]
        + _normed(nn.Conv2d(f, 2 * f, 3, 2, 1))
        + _normed(nn.Conv2d(2 * f, 4 * f, 3, 2, 1))
        + [_Residual(4 * f) for _ in range(blocks)]
        + _normed(nn.ConvTranspose2d(4 * f, 2 * f, 3, 2, 1, output_padding=1))
        + _normed(nn.ConvTranspose2d(2 * f, f, 3, 2, 1, output_padding=1))
        + [nn.ReflectionPad2d(3), nn.Conv2d(f, 3, 7), nn.Tanh()]
    )


def discriminator(features: int = 64) -> nn.Module:
    """The 70x70 PatchGAN, with its names of keys and its dead biases."""
    f = features
    layers = [nn.Conv2d(3, f, 4, 2, 1), nn.LeakyReLU(0.2)]
    for inputs, outputs, stride in ((f, 2 * f, 2), (2 * f, 4 * f, 2), (4 * f, 8 * f, 1)):
        layers += [nn.Conv2d(inputs, outputs, 4, stride, 1), nn.InstanceNorm2d(outputs)]
        layers += [nn.LeakyReLU(0.2)]
    return _Model([*layers, nn.Conv2d(8 * f, 1, 4, 1, 1)])


class _Residual(nn.Module):
    def __init__(self, features: int):
        super().__init__()
        pad, conv, norm = nn.ReflectionPad2d(1), nn.Conv2d, nn.InstanceNorm2d
        first = [pad, conv(features, features, 3), norm(features), nn.ReLU()]
        self.conv_block = nn.Sequential(*first, pad, conv(features, features, 3), norm(features))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


def _normed(convolution: nn.Module) -> list[nn.Module]:
    return [convolution, nn.InstanceNorm2d(convolution.out_channels), nn.ReLU()]  # type: ignore


class _Model(nn.Module):
    """Keys as published: ``model.N``."""

    def __init__(self, layers: list[nn.Module]):
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)

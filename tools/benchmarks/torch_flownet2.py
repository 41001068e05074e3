"""FlowNet2 as torch modules with the published names, written from its table of layers.

Needs torch (`make torch`).  Only to measure against; the package itself never imports it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def flownet2() -> nn.Module:
    """The whole stack: RGB 0-255 [N, 3, H, W] twice -> flow [N, 2, H, W]."""
    return _FlowNet2().eval()


class _Decoder(nn.Module):
    """conv4 to conv6_1, the deconvolutions and the flows of every level, shared by C, S and SD."""

    def __init__(self, up_bias: bool = True, inter: bool = False):
        super().__init__()
        for level, inputs, features in ((4, 256, 512), (5, 512, 512), (6, 512, 1024)):
            self.add_module(f"conv{level}", _conv(inputs, features, stride=2))
            self.add_module(f"conv{level}_1", _conv(features, features))
        self.predict_flow6 = nn.Conv2d(1024, 2, 3, 1, 1)
        above = 1024
        for level, skip, features in ((5, 512, 512), (4, 512, 256), (3, 256, 128), (2, 128, 64)):
            self.add_module(f"deconv{level}", _deconv(above, features))
            up = nn.ConvTranspose2d(2, 2, 4, 2, 1, bias=up_bias)
            self.add_module(f"upsampled_flow{level + 1}_to_{level}", up)
            above = skip + features + 2
            if inter:
                wrapped = nn.Sequential(nn.Conv2d(above, features, 3, 1, 1))
                self.add_module(f"inter_conv{level}", wrapped)
            seen = features if inter else above
            self.add_module(f"predict_flow{level}", nn.Conv2d(seen, 2, 3, 1, 1))

    def decode(self, c2: Tensor, c3: Tensor) -> Tensor:
        levels = {2: c2, 3: c3}
        for level in (4, 5, 6):
            y = self.get_submodule(f"conv{level}")(levels[level - 1])
            levels[level] = self.get_submodule(f"conv{level}_1")(y)
        k, flow = levels[6], self.predict_flow6(levels[6])
        for level in (5, 4, 3, 2):
            up = self.get_submodule(f"upsampled_flow{level + 1}_to_{level}")(flow)
            k = torch.cat([levels[level], self.get_submodule(f"deconv{level}")(k), up], 1)
            inter = getattr(self, f"inter_conv{level}", nn.Identity())
            flow = self.get_submodule(f"predict_flow{level}")(inter(k))
        return flow


class _FlowNetC(_Decoder):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = _conv(3, 64, 7, 2), _conv(64, 128, 5, 2)
        self.conv3, self.conv_redir = _conv(128, 256, 5, 2), _conv(256, 32, 1)
        self.conv3_1 = _conv(473, 256)

    def forward(self, x: Tensor) -> Tensor:
        c2 = self.conv2(self.conv1(x[:, :3]))
        first, second = self.conv3(c2), self.conv3(self.conv2(self.conv1(x[:, 3:])))
        related = functional.leaky_relu(correlate(first, second), 0.1)
        return self.decode(c2, self.conv3_1(torch.cat([self.conv_redir(first), related], 1)))


class _FlowNetS(_Decoder):
    def __init__(self):
        super().__init__(up_bias=False)
        self.conv1, self.conv2 = _conv(12, 64, 7, 2), _conv(64, 128, 5, 2)
        self.conv3, self.conv3_1 = _conv(128, 256, 5, 2), _conv(256, 256)

    def forward(self, x: Tensor) -> Tensor:
        c2 = self.conv2(self.conv1(x))
        return self.decode(c2, self.conv3_1(self.conv3(c2)))


class _FlowNetSD(_Decoder):
    def __init__(self):
        super().__init__(inter=True)
        self.conv0, self.conv1, self.conv1_1 = _conv(6, 64), _conv(64, 64, 3, 2), _conv(64, 128)
        self.conv2, self.conv2_1 = _conv(128, 128, 3, 2), _conv(128, 128)
        self.conv3, self.conv3_1 = _conv(128, 256, 3, 2), _conv(256, 256)

    def forward(self, x: Tensor) -> Tensor:
        c2 = self.conv2_1(self.conv2(self.conv1_1(self.conv1(self.conv0(x)))))
        return self.decode(c2, self.conv3_1(self.conv3(c2)))


class _Fusion(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv0, self.conv1, self.conv1_1 = _conv(11, 64), _conv(64, 64, 3, 2), _conv(64, 128)
        self.conv2, self.conv2_1 = _conv(128, 128, 3, 2), _conv(128, 128)
        self.deconv1, self.deconv0 = _deconv(128, 32), _deconv(162, 16)
        self.inter_conv1 = nn.Sequential(nn.Conv2d(162, 32, 3, 1, 1))
        self.inter_conv0 = nn.Sequential(nn.Conv2d(82, 16, 3, 1, 1))
        self.predict_flow2, self.predict_flow1 = (nn.Conv2d(i, 2, 3, 1, 1) for i in (128, 32))
        self.predict_flow0 = nn.Conv2d(16, 2, 3, 1, 1)
        self.upsampled_flow2_to_1 = nn.ConvTranspose2d(2, 2, 4, 2, 1)
        self.upsampled_flow1_to_0 = nn.ConvTranspose2d(2, 2, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        c0 = self.conv0(x)
        c1 = self.conv1_1(self.conv1(c0))
        c2 = self.conv2_1(self.conv2(c1))
        flow2 = self.predict_flow2(c2)
        k1 = torch.cat([c1, self.deconv1(c2), self.upsampled_flow2_to_1(flow2)], 1)
        flow1 = self.predict_flow1(self.inter_conv1(k1))
        k0 = torch.cat([c0, self.deconv0(k1), self.upsampled_flow1_to_0(flow1)], 1)
        return self.predict_flow0(self.inter_conv0(k0))


class _FlowNet2(nn.Module):
    def __init__(self):
        super().__init__()
        self.flownetc, self.flownets_d, self.flownetfusion = _FlowNetC(), _FlowNetSD(), _Fusion()
        self.flownets_1, self.flownets_2 = _FlowNetS(), _FlowNetS()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        pair = torch.stack([first, second], 2)
        pair = (pair - pair.mean((2, 3, 4), keepdim=True)) / 255
        a, b = pair.unbind(2)
        x = torch.cat([a, b], 1)
        flow = _enlarge(20 * self.flownetc(x), "bilinear")
        flow = _enlarge(20 * self.flownets_1(_seen(x, a, b, flow)), "bilinear")
        flow = _enlarge(20 * self.flownets_2(_seen(x, a, b, flow)), "nearest")
        small = _enlarge(self.flownets_d(x) / 20, "nearest")
        flows = [small, flow]
        errors = [_norm(a - resample(b, f)) for f in flows]
        return self.flownetfusion(torch.cat([a, *flows, *map(_norm, flows), *errors], 1))


def correlate(a: Tensor, b: Tensor) -> Tensor:
    """[N, C, H, W] twice -> [N, 441, H, W], one product of pictures per displacement."""
    height, width = a.shape[2:]
    b = functional.pad(b, (20, 20, 20, 20))
    shifts = [(y, x) for y in range(0, 41, 2) for x in range(0, 41, 2)]
    return torch.stack([(a * b[:, :, y : y + height, x : x + width]).mean(1) for y, x in shifts], 1)


def resample(image: Tensor, flow: Tensor) -> Tensor:
    """Backward warp with the border repeated."""
    height, width = image.shape[2:]
    x = (flow[:, 0] + torch.arange(width)) * (2 / (width - 1)) - 1
    y = (flow[:, 1] + torch.arange(height)[:, None]) * (2 / (height - 1)) - 1
    grid = torch.stack([x, y], -1)
    return functional.grid_sample(image, grid, padding_mode="border", align_corners=True)


def _seen(x: Tensor, a: Tensor, b: Tensor, flow: Tensor) -> Tensor:
    warped = resample(b, flow)
    return torch.cat([x, warped, flow / 20, _norm(a - warped)], 1)


def _norm(x: Tensor) -> Tensor:
    return x.square().sum(1, keepdim=True).sqrt()


def _enlarge(flow: Tensor, mode: str) -> Tensor:
    return functional.interpolate(flow, scale_factor=4, mode=mode)


def _conv(inputs: int, features: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    layer = nn.Conv2d(inputs, features, kernel, stride, kernel // 2)
    return nn.Sequential(layer, nn.LeakyReLU(0.1))


def _deconv(inputs: int, features: int) -> nn.Module:
    layer = nn.ConvTranspose2d(inputs, features, 4, 2, 1)
    return nn.Sequential(layer, nn.LeakyReLU(0.1))

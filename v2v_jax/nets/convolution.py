"""A convolution that is fast on XLA:CPU too, and so are its gradients of first and second order.

There XLA is fast for many channels of small pictures, several at a time, and slow otherwise.  So
on that platform, and only there, the same sums are asked for in other forms (docs/benchmarks.md
has the times):

- the kernel gradient of small pictures over bands of rows, laid into the batch; of large ones as
  one matrix product per tap; of few channels made as one matrix product;
- few channels of small pictures in blocks of 2x2 pixels, which have four times the channels;
- an unpadded convolution as a padded one whose border is cut off.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from v2v_jax.types import Array

Padding = tuple[tuple[int, int], tuple[int, int]]

_NONE: Padding = ((0, 0), (0, 0))
_WIDE = 16
"""Channels from which XLA:CPU computes a kernel gradient fast for a batch of two."""
_BATCH = 8
"""The batch from which it does so for fewer channels."""
_SMALL = 2**19
"""Numbers, 2 MB, in a picture up to which it does so at all, and blocks are worth their copies."""


def convolve(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    """Correlates [N, H, W, C] with [h, w, C, F]; ``padding`` is (low, high) of H and of W, zeros.

    Differentiable in reverse mode only.
    """
    return jnp.asarray(_convolve(x, kernel, stride, padding))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    return _chosen(_correlate, _correlate_on_cpu, x, kernel, stride=stride, padding=padding)


def _forward(x: Array, kernel: Array, stride: int, padding: Padding) -> tuple[Array, tuple]:
    return _convolve(x, kernel, stride, padding), (x, kernel)


def _backward(stride: int, padding: Padding, residuals: tuple, grad: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    by_input = _by_input(grad, kernel, x.shape, stride, padding)
    return jnp.asarray(by_input), _by_kernel(x, kernel, grad, stride, padding)


_convolve.defvjp(_forward, _backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _by_input(
    grad: Array, kernel: Array, shape: tuple[int, ...], stride: int, padding: Padding
) -> Array:
    """The gradient by an input of ``shape``; linear in ``grad`` and in ``kernel``."""
    static = {"shape": shape, "stride": stride, "padding": padding}
    return _chosen(_xla_by_input, _by_input_on_cpu, grad, kernel, **static)


def _by_input_forward(grad: Array, kernel: Array, *static: Any) -> tuple[Array, tuple]:
    return _by_input(grad, kernel, *static), (grad, kernel)


def _by_input_backward(
    shape: tuple[int, ...], stride: int, padding: Padding, residuals: tuple, tangent: Array
) -> tuple[Array, Array]:
    # What a gradient penalty takes: a kernel gradient once more.
    grad, kernel = residuals
    by_grad = _convolve(tangent, kernel, stride, padding)
    return jnp.asarray(by_grad), _by_kernel(tangent, kernel, grad, stride, padding)


_by_input.defvjp(_by_input_forward, _by_input_backward)


def _by_kernel(x: Array, kernel: Array, grad: Array, stride: int, padding: Padding) -> Array:
    static = {"stride": stride, "padding": padding}
    return _chosen(_xla_by_kernel, _by_kernel_on_cpu, x, kernel, grad, **static)


def _chosen(xla: Any, on_cpu: Any, *arrays: Array, **static: Any) -> Array:
    """``on_cpu`` where the program is lowered for the CPU, ``xla`` elsewhere."""
    default, cpu = (functools.partial(form, **static) for form in (xla, on_cpu))
    return jax.lax.platform_dependent(*arrays, cpu=cpu, default=default)


def _correlate(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _xla_by_input(
    grad: Array, kernel: Array, shape: tuple[int, ...], stride: int, padding: Padding
) -> Array:
    like = jax.ShapeDtypeStruct(shape, grad.dtype)
    pull = jax.linear_transpose(lambda x: _correlate(x, kernel, stride, padding), like)
    return pull(grad)[0]


def _xla_by_kernel(x: Array, kernel: Array, grad: Array, stride: int, padding: Padding) -> Array:
    return jax.vjp(lambda w: _correlate(x, w, stride, padding), kernel)[1](grad)[0]


def _correlate_on_cpu(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    height, width, inputs, outputs = kernel.shape
    small = x.size // inputs * max(inputs, outputs) <= _SMALL
    if small and stride == 1 and inputs <= _WIDE and min(inputs, outputs) < _WIDE:
        return _in_blocks(x, kernel, padding)
    if stride == 1 and padding == _NONE:
        # Of the input's size, then cropped.
        low = height // 2, width // 2
        same = ((low[0], height - 1 - low[0]), (low[1], width - 1 - low[1]))
        y = _correlate(x, kernel, 1, same)
        shape = x.shape[1] - height + 1, x.shape[2] - width + 1
        return y[:, low[0] : low[0] + shape[0], low[1] : low[1] + shape[1]]
    return _correlate(x, kernel, stride, padding)


def _by_input_on_cpu(
    grad: Array, kernel: Array, shape: tuple[int, ...], stride: int, padding: Padding
) -> Array:
    if stride != 1:
        return _xla_by_input(grad, kernel, shape, stride, padding)
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    return _correlate_on_cpu(grad, flipped, 1, _mirrored(kernel, padding))


def _in_blocks(x: Array, kernel: Array, padding: Padding) -> Array:
    """The correlation of stride 1, every 2x2 pixels of x and of the output taken as one."""
    sizes, (n, _, _, inputs), outputs = kernel.shape[:2], x.shape, kernel.shape[3]
    made = [x.shape[i + 1] + sum(padding[i]) - sizes[i] + 1 for i in (0, 1)]
    blocks = [-(-size // 2) for size in made]
    taps = [size // 2 + 1 for size in sizes]  # Two pixels see one pixel more than one does.
    seen = 2 * (blocks[0] + taps[0] - 1), 2 * (blocks[1] + taps[1] - 1)
    x = _framed(x, padding, seen)
    x = x.reshape(n, seen[0] // 2, 2, seen[1] // 2, 2, inputs).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(n, seen[0] // 2, seen[1] // 2, 4 * inputs)
    spare = [2 * t - size for t, size in zip(taps, sizes, strict=True)]
    of_pixel = [
        jnp.pad(kernel, ((row, spare[0] - row), (column, spare[1] - column), (0, 0), (0, 0)))
        for row in (0, 1)
        for column in (0, 1)
    ]
    kernels = jnp.stack(of_pixel, axis=-2).reshape(taps[0], 2, taps[1], 2, inputs, 4 * outputs)
    kernels = kernels.transpose(0, 2, 1, 3, 4, 5).reshape(*taps, 4 * inputs, 4 * outputs)
    y = _correlate(x, kernels, 1, _NONE)
    y = y.reshape(n, *blocks, 2, 2, outputs).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(n, 2 * blocks[0], 2 * blocks[1], outputs)[:, : made[0], : made[1]]


def _by_kernel_on_cpu(x: Array, kernel: Array, grad: Array, stride: int, padding: Padding) -> Array:
    inputs, outputs = kernel.shape[2:]
    if outputs < _WIDE <= inputs and stride == 1:
        return _of_columns(x, kernel, grad, padding)
    if max(x.size, grad.size) <= _SMALL:
        return _in_bands(x, kernel, grad, stride, padding)
    if min(inputs, outputs) >= _WIDE:
        return _tap_by_tap(x, kernel, grad, stride, padding)
    return _xla_by_kernel(x, kernel, grad, stride, padding)


def _in_bands(x: Array, kernel: Array, grad: Array, stride: int, padding: Padding) -> Array:
    """XLA's form, over bands of rows that are laid into the batch."""
    n, rows, columns, _ = grad.shape
    bands = min(-(-(2 if min(kernel.shape[2:]) >= _WIDE else _BATCH) // n), rows)
    each = -(-rows // bands)
    seen = stride * (each - 1) + kernel.shape[0]
    x = _framed(
        x, padding, ((bands - 1) * each * stride + seen, stride * (columns - 1) + kernel.shape[1])
    )
    grad = jnp.pad(grad, ((0, 0), (0, each * bands - rows), (0, 0), (0, 0)))
    starts = [each * band for band in range(bands)]
    x = jnp.concatenate([x[:, stride * start : stride * start + seen] for start in starts])
    grad = jnp.concatenate([grad[:, start : start + each] for start in starts])
    return _xla_by_kernel(x, kernel, grad, stride, _NONE)


def _of_columns(x: Array, kernel: Array, grad: Array, padding: Padding) -> Array:
    """One matrix product of the input and the few channels of ``grad``, shifted by every tap."""
    n, height, width, inputs = x.shape
    taps, outputs = kernel.shape[:2], kernel.shape[3]
    size = height + taps[0] - 1, width + taps[1] - 1
    flat = _framed(grad, _mirrored(kernel, padding), size).transpose(3, 0, 1, 2)
    shifted = jnp.stack(
        [
            flat[:, :, row : row + height, column : column + width]
            for row in reversed(range(taps[0]))
            for column in reversed(range(taps[1]))
        ]
    )
    product = shifted.reshape(-1, n * height * width) @ x.reshape(-1, inputs)
    return product.reshape(*taps, outputs, inputs).swapaxes(2, 3)


def _tap_by_tap(x: Array, kernel: Array, grad: Array, stride: int, padding: Padding) -> Array:
    """One matrix product per tap of the kernel."""
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    n, height, width, _ = grad.shape
    reach = stride * (height - 1) + 1, stride * (width - 1) + 1

    def tap(row: int, column: int) -> Array:
        first, last = (0, row, column, 0), (n, row + reach[0], column + reach[1], x.shape[3])
        seen = jax.lax.slice(x, first, last, (1, stride, stride, 1))
        return jnp.einsum("nhwc,nhwf->cf", seen, grad)

    taps = [tap(row, column) for row in range(kernel.shape[0]) for column in range(kernel.shape[1])]
    return jnp.stack(taps).reshape(kernel.shape)


def _framed(x: Array, padding: Padding, size: tuple[int, int]) -> Array:
    """``x`` behind as many zeros as ``padding`` says, brought to ``size`` at the far end."""
    edges = [
        (low, whole - low - there, 0)
        for whole, (low, _), there in zip(size, padding, x.shape[1:3], strict=True)
    ]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *edges, (0, 0, 0)])


def _mirrored(kernel: Array, padding: Padding) -> Padding:
    """The padding of the convolution that goes back, of stride 1."""
    (top, bottom), (left, right) = padding
    rows, columns = kernel.shape[0] - 1, kernel.shape[1] - 1
    return (rows - top, rows - bottom), (columns - left, columns - right)

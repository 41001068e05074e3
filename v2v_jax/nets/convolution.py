"""A convolution whose kernel gradients, of first and second order, are fast on XLA:CPU too.

There XLA computes the gradient as one convolution with a window as large as the picture, on a slow
path: at 256x512 the last up-convolution takes 5 times and the 64 -> 3 head 4 times as long as the
forms below (tools/benchmarks/generator.py times the whole).  Other platforms keep XLA's form.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from v2v_jax.types import Array

Padding = tuple[tuple[int, int], tuple[int, int]]

_WIDE = 16
"""Channels from which one matrix product per tap beats a convolution on XLA:CPU."""


def convolve(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    """Correlates [N, H, W, C] with [h, w, C, F]; ``padding`` is (low, high) of H and of W, zeros.

    Differentiable in reverse mode only.
    """
    return jnp.asarray(_convolve(x, kernel, stride, padding))


def _correlate(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


_convolve = jax.custom_vjp(_correlate, nondiff_argnums=(2, 3))


def _forward(x: Array, kernel: Array, stride: int, padding: Padding) -> tuple[Array, tuple]:
    return _correlate(x, kernel, stride, padding), (x, kernel)


def _backward(stride: int, padding: Padding, residuals: tuple, grad: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    by_input = _by_input(grad, kernel, x.shape, stride, padding)
    return jnp.asarray(by_input), _kernel_gradient(x, kernel, grad, stride, padding)


_convolve.defvjp(_forward, _backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _by_input(
    grad: Array, kernel: Array, shape: tuple[int, ...], stride: int, padding: Padding
) -> Array:
    """The gradient by an input of ``shape``; linear in ``grad`` and in ``kernel``."""
    like = jax.ShapeDtypeStruct(shape, grad.dtype)
    pull = jax.linear_transpose(lambda x: _correlate(x, kernel, stride, padding), like)
    return pull(grad)[0]


def _by_input_forward(grad: Array, kernel: Array, *static: Any) -> tuple[Array, tuple]:
    return _by_input(grad, kernel, *static), (grad, kernel)


def _by_input_backward(
    shape: tuple[int, ...], stride: int, padding: Padding, residuals: tuple, tangent: Array
) -> tuple[Array, Array]:
    # What a gradient penalty takes: a kernel gradient once more, as slow in XLA's form.
    grad, kernel = residuals
    by_grad = _convolve(tangent, kernel, stride, padding)
    return jnp.asarray(by_grad), _kernel_gradient(tangent, kernel, grad, stride, padding)


_by_input.defvjp(_by_input_forward, _by_input_backward)


def _kernel_gradient(x: Array, kernel: Array, grad: Array, stride: int, padding: Padding) -> Array:
    by_kernel = functools.partial(_by_kernel, stride=stride, padding=padding)
    on_cpu = functools.partial(_by_kernel_on_cpu, stride=stride, padding=padding)
    return jax.lax.platform_dependent(x, kernel, grad, cpu=on_cpu, default=by_kernel)


def _by_kernel(x: Array, kernel: Array, grad: Array, *, stride: int, padding: Padding) -> Array:
    return jax.vjp(lambda w: _correlate(x, w, stride, padding), kernel)[1](grad)[0]


def _by_kernel_on_cpu(
    x: Array, kernel: Array, grad: Array, *, stride: int, padding: Padding
) -> Array:
    inputs, outputs = kernel.shape[2:]
    if min(inputs, outputs) >= _WIDE:
        return _tap_by_tap(x, kernel, grad, stride, padding)
    if outputs < inputs and stride == 1:
        return _roles_swapped(x, kernel, grad, padding)
    return _by_kernel(x, kernel, grad, stride=stride, padding=padding)


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


def _roles_swapped(x: Array, kernel: Array, grad: Array, padding: Padding) -> Array:
    """The gradient as that of the mirrored problem, whose input is ``grad``: fewer channels in."""
    mirrored = [
        (size - 1 - low, size - 1 - high)
        for size, (low, high) in zip(kernel.shape[:2], padding, strict=True)
    ]
    swapped = jnp.zeros_like(kernel).swapaxes(2, 3)
    found = _by_kernel(grad, swapped, x, stride=1, padding=(mirrored[0], mirrored[1]))
    return found[::-1, ::-1].swapaxes(2, 3)

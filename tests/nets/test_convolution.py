"""A convolution and its gradients are the same in all their forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from v2v_jax.nets import convolution
from v2v_jax.nets.convolution import _correlate, convolve

SHAPES = {
    "many channels": ((3, 3, 16, 24), 1, ((1, 1), (1, 1))),
    "many channels, stride 2": ((4, 4, 16, 16), 2, ((1, 1), (1, 1))),
    "many channels, one-sided padding": ((2, 2, 16, 32), 1, ((0, 1), (0, 1))),
    "many channels, no padding": ((3, 4, 16, 17), 1, ((0, 0), (0, 0))),
    "few channels out": ((7, 5, 16, 3), 1, ((3, 3), (2, 2))),
    "few channels out, one-sided padding": ((4, 4, 16, 1), 1, ((1, 2), (0, 1))),
    "few channels in, no padding": ((3, 4, 3, 5), 1, ((0, 0), (0, 0))),
    "few channels in": ((7, 7, 3, 16), 1, ((3, 3), (3, 3))),
    "few channels out, stride 2": ((4, 4, 16, 2), 2, ((1, 1), (1, 1))),
}


@pytest.fixture(params=["small", "large"], autouse=True)
def size(request, monkeypatch):
    """Either way, whatever these pictures' size: the forms are chosen by it."""
    monkeypatch.setattr(convolution, "_SMALL", {"small": 2**19, "large": 0}[request.param])


def plain(x, kernel, stride, padding):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def gradients(convolution, shape, stride, padding, dtype):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (2, 10, 12, shape[2]), dtype)
    kernel = jax.random.normal(keys[1], shape, dtype)
    y, pull = jax.vjp(lambda x, w: convolution(x, w, stride, padding), x, kernel)
    return y, *pull(jax.random.normal(keys[2], y.shape, dtype))


@pytest.mark.parametrize("case", SHAPES)
def test_gradients_are_those_of_a_plain_convolution(case):
    with jax.enable_x64(True):
        shape, stride, padding = SHAPES[case]
        ours = gradients(convolve, shape, stride, padding, jnp.float64)
        theirs = gradients(plain, shape, stride, padding, jnp.float64)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-11)


def test_bfloat16_gradients_accumulate_in_float32():
    shape, stride, padding = SHAPES["many channels"]
    ours = gradients(convolve, shape, stride, padding, jnp.bfloat16)
    theirs = gradients(plain, shape, stride, padding, jnp.bfloat16)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == jnp.bfloat16
        wide = np.asarray(other, np.float32)
        error = np.linalg.norm(np.asarray(one, np.float32) - wide) / np.linalg.norm(wide)
        assert error <= 4e-3


def penalised(convolution, shape, stride, padding):
    """The gradient, by the kernel and by what follows it, of a squared gradient by the input."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (2, 10, 12, shape[2]), jnp.float64)
    kernel = jax.random.normal(keys[1], shape, jnp.float64)
    after = jax.random.normal(keys[2], convolution(x, kernel, stride, padding).shape, jnp.float64)

    def penalty(kernel, after):
        slope = jax.grad(lambda x: jnp.sum(after * convolution(x, kernel, stride, padding) ** 3))
        return jnp.sum(slope(x) ** 2)

    return jax.grad(penalty, argnums=(0, 1))(kernel, after)


@pytest.mark.parametrize("case", SHAPES)
def test_a_penalty_on_gradients_has_the_gradients_of_a_plain_convolution(case):
    with jax.enable_x64(True):
        ours, theirs = (penalised(one, *SHAPES[case]) for one in (convolve, plain))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-8 * np.abs(other).max())


@pytest.mark.parametrize("case", SHAPES)
def test_other_platforms_get_a_plain_convolution(case):
    """What helps XLA:CPU would cost a GPU."""
    shape, stride, padding = SHAPES[case]

    def operations(convolution):
        program = jax.jit(lambda: gradients(convolution, shape, stride, padding, jnp.float32))
        text = program.trace().lower(lowering_platforms=("cuda",)).as_text()
        kinds = ("convolution", "concatenate", "dot_general", "pad", "slice")
        return {kind: text.count(f"stablehlo.{kind}") for kind in kinds}

    found = operations(convolve)
    # Numbers are drawn with some of these, too.
    assert found == operations(_correlate)
    assert found["convolution"] == 3

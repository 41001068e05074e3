"""Adversarial losses and their gradients against CycleGAN's."""

from __future__ import annotations

import golden_recipe as golden
import jax
import jax.numpy as jnp
import pytest

from v2v_jax.losses import adversarial


@pytest.mark.parametrize("copy", [False, True], ids=["shared", "copy"])
@pytest.mark.parametrize("logits", ["logits", "extreme"])
@pytest.mark.parametrize("real", [True, False], ids=["real", "fake"])
@pytest.mark.parametrize("kind", ["vanilla", "lsgan"])
def test_adversarial_loss_and_gradient(kind, real, logits, copy):
    """``extreme`` logits are where sigmoid followed by log would overflow."""
    arrays, _ = golden.load("gan_losses", copy=copy)
    name = f"out|{kind}_{'real' if real else 'fake'}_{logits}"
    with jax.enable_x64(True):
        x = jnp.asarray(arrays[f"in|{logits}"], jnp.float64)
        loss, gradient = jax.value_and_grad(adversarial)(x, real, kind)
    assert float(loss) == pytest.approx(float(arrays[name]), rel=1e-12)
    # The gradient of the moderate logits is stored in float32.
    tolerance = 1e-7 if arrays[f"{name}_grad"].dtype == "float32" else 1e-12
    assert golden.distance(gradient, arrays[f"{name}_grad"]) <= tolerance
    narrow = adversarial(jnp.asarray(arrays[f"in|{logits}"]), real, kind)
    assert narrow.dtype == jnp.float32
    assert float(narrow) == pytest.approx(float(arrays[name]), rel=1e-6)

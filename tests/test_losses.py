"""What the loss terms are means and sums of; published numbers are in the parity test."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from v2v_jax import losses

LOGITS = jnp.array([[-3.0, -0.5], [0.25, 4.0]])


@pytest.mark.parametrize(
    ("kind", "real", "expected"),
    [
        ("vanilla", True, np.log1p(np.exp(-np.asarray(LOGITS))).mean()),
        ("vanilla", False, np.log1p(np.exp(np.asarray(LOGITS))).mean()),
        ("lsgan", True, (16 + 2.25 + 0.5625 + 9) / 4),
        ("lsgan", False, (9 + 0.25 + 0.0625 + 16) / 4),
        ("hinge", True, (4 + 1.5 + 0.75 + 0) / 4),
        ("hinge", False, (0 + 0.5 + 1.25 + 5) / 4),
    ],
)
def test_adversarial(kind, real, expected):
    assert float(losses.adversarial(LOGITS, real, kind)) == pytest.approx(expected, rel=1e-6)


def test_vanilla_is_the_default():
    assert losses.adversarial(LOGITS, True) == losses.adversarial(LOGITS, True, "vanilla")
    assert losses.generator_loss(LOGITS) == losses.generator_loss(LOGITS, "vanilla")
    assert losses.discriminator_loss(LOGITS, -LOGITS) == losses.discriminator_loss(
        LOGITS, -LOGITS, "vanilla"
    )


@pytest.mark.parametrize("kind", ["vanilla", "lsgan", "hinge"])
def test_the_two_sides(kind):
    real, fake = LOGITS, 2 * LOGITS[:, ::-1] + 1
    both = losses.adversarial(real, True, kind) + losses.adversarial(fake, False, kind)
    assert float(losses.discriminator_loss(real, fake, kind)) == pytest.approx(float(both) / 2)
    wanted = -fake.mean() if kind == "hinge" else losses.adversarial(fake, True, kind)
    assert float(losses.generator_loss(fake, kind)) == pytest.approx(float(wanted))


@pytest.mark.parametrize("kind", ["vanilla", "lsgan", "hinge"])
def test_a_rejected_fake_still_teaches_the_generator(kind):
    """Non-saturating: the surer the discriminator, the more a fake learns, never nothing."""
    slope = jax.grad(losses.generator_loss)(jnp.array([-60.0]), kind)
    assert float(slope[0]) <= -0.99


@pytest.mark.parametrize("kind", ["vanilla", "lsgan", "hinge"])
def test_means_are_float32_at_least(kind):
    narrow = LOGITS.astype(jnp.bfloat16)
    assert losses.generator_loss(narrow, kind).dtype == jnp.float32
    assert losses.discriminator_loss(narrow, narrow, kind).dtype == jnp.float32


def test_unknown_kind():
    with pytest.raises(ValueError, match="'wgan' is none of vanilla, lsgan, hinge"):
        losses.adversarial(LOGITS, True, "wgan")


def test_cycle_and_content_are_means():
    a = jnp.array([[1.0, -2.0], [0.5, 3.0]])
    b = jnp.array([[0.0, 1.0], [0.5, 1.0]])
    assert float(losses.cycle(a, b)) == pytest.approx((1 + 3 + 0 + 2) / 4)
    assert float(losses.content(a, b)) == pytest.approx((1 + 9 + 0 + 4) / 4)
    assert float(losses.cycle(a, a)) == float(losses.content(a, a)) == 0.0


def test_temporal_is_a_mean_over_pixels_and_a_sum_over_time():
    rng = np.random.default_rng(0)
    output, warped = rng.normal(0, 1, (2, 2, 3, 4, 5, 3)).astype(np.float32)
    mask = rng.uniform(0, 1, (2, 3, 4, 5, 1)).astype(np.float32)[:, :2]
    output, warped = output[:, :2], warped[:, :2]
    expected = sum((mask[:, t] * np.abs(output[:, t] - warped[:, t])).mean() for t in range(2))
    args = jnp.asarray(output), jnp.asarray(warped), jnp.asarray(mask)
    assert float(losses.temporal(*args)) == pytest.approx(float(expected), rel=1e-5)
    twice = [jnp.concatenate([x, x], axis=1) for x in args]
    assert float(losses.temporal(*twice)) == pytest.approx(2 * float(expected), rel=1e-5)
    twice = [jnp.concatenate([x, x], axis=0) for x in args]
    assert float(losses.temporal(*twice)) == pytest.approx(float(expected), rel=1e-5)


def test_an_untrusted_pixel_has_no_temporal_loss_and_no_gradient():
    output, warped = jnp.ones((1, 1, 2, 2, 3)), jnp.zeros((1, 1, 2, 2, 3))
    mask = jnp.ones((1, 1, 2, 2, 1)).at[0, 0, 0, 1].set(0)
    value, (by_output, by_warped) = jax.value_and_grad(losses.temporal, (0, 1))(
        output, warped, mask
    )
    assert float(value) == pytest.approx(0.75)
    assert not by_output[0, 0, 0, 1].any() and not by_warped[0, 0, 0, 1].any()
    np.testing.assert_allclose(by_output[0, 0, 1], 1 / 12, rtol=1e-6)
    np.testing.assert_allclose(by_warped, -by_output)

"""A discriminator that is shown motion, and real patches weighted by it."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods.tiny_recurrent import Content, Fusion, Image, draw_batch, draw_params
from ml_collections import ConfigDict

from configs import demo
from v2v_jax import losses
from v2v_jax.assembly.methods import method
from v2v_jax.assembly.players import discriminator, image_generator
from v2v_jax.assembly.saved import completed
from v2v_jax.methods.judging import Known, _goal, nothing_seen, remember
from v2v_jax.methods.recurrent import Recurrent, Weights
from v2v_jax.methods.styling import KEEP
from v2v_jax.nets.discriminator import PatchDiscriminator
from v2v_jax.nets.generator import LocalAffine, ResnetGenerator
from v2v_jax.ops import style
from v2v_jax.ops.motion import KINDS

WEIGHTS = Weights(gradient_penalty=2.0)
SIZE = (16, 32)


def judging(**options):
    net = PatchDiscriminator(features=4, layers=1, norm="none", motion=True)
    return Recurrent(
        image=Image(), fusion=Fusion(), content=Content(), adversarial="lsgan",
        **({"history": 1, "discriminator": net, "weights": WEIGHTS} | options),
    )  # fmt: skip


def terms(made, batch, memory=None):
    params, frozen = draw_params(made, batch)
    memory = made.init_memory(batch) if memory is None else memory
    run = jax.jit(lambda p, m: made.losses(p, frozen, m, batch, jax.random.key(0)))
    totals, aux = run(params, memory)
    return totals, aux


def test_the_gradient_penalty_of_a_linear_judge_is_its_weights_mean_square():
    weights = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 6, 3)), jnp.float32)

    def judge(x):
        return jnp.sum(weights * x, axis=(1, 2, 3), keepdims=True)

    made = losses.gradient_penalty(judge, jnp.ones((2, 4, 6, 3)))
    np.testing.assert_allclose(made, jnp.mean(jnp.square(weights)), rtol=1e-6)


def test_weights_of_real_logits_count_patches():
    logits = jnp.asarray([[0.0, 1.0, 3.0]])
    weighted = losses.discriminator_loss(logits, logits, "lsgan", jnp.asarray([[1.0, 5.0, 0.5]]))
    np.testing.assert_allclose(weighted, 0.5 * ((1 + 0 + 0.5 * 4) / 3 + 10 / 3), rtol=1e-6)


def test_the_penalty_is_the_discriminators_alone():
    batch = draw_batch(frames=4, size=SIZE)
    totals, aux = terms(judging(), batch)
    judged = sum(aux.terms[f"{d}/discriminator"] for d in Recurrent.directions)
    steep = sum(aux.terms[f"{d}/gradient_penalty"] for d in Recurrent.directions)
    assert float(steep) > 0
    np.testing.assert_allclose(totals["discriminator"], judged + 2 * steep, rtol=1e-5)


def test_motion_changes_the_verdict():
    """Of two batches that differ in the flow of the real frames alone."""
    batch = draw_batch(frames=4, size=SIZE)
    other = batch | {"target": batch["target"] | {"flow": 5 * batch["target"]["flow"]}}
    _, before = terms(judging(), batch)
    _, after = terms(judging(), other)
    name = "to_target/discriminator"
    assert abs(float(before.terms[name] - after.terms[name])) > 1e-4
    np.testing.assert_allclose(
        before.terms["to_target/adversarial"], after.terms["to_target/adversarial"], rtol=1e-5
    )


def test_balance_weighs_what_the_translated_domain_has_more_of():
    """The target hardly ever stands still, the source always: still patches count the most."""
    batch = draw_batch(frames=4, size=SIZE)
    still = jnp.zeros_like(batch["source"]["flow"])
    half = still.at[..., SIZE[1] // 2 :, 0].set(8.0)
    batch = {
        "source": batch["source"] | {"flow": still}, "target": batch["target"] | {"flow": half},
    }  # fmt: skip
    _, aux = terms(judging(balance=True), batch)
    source, target = aux.memory["to_target"], aux.memory["to_source"]
    np.testing.assert_allclose(source.sum(), 0.02, rtol=1e-4)
    assert float(source[:8].sum()) == pytest.approx(0.02, rel=1e-4)
    assert 0.4 < float(target[:8].sum()) / 0.02 < 0.6
    _, plain = terms(judging(), batch)
    name = "to_target/discriminator"
    assert abs(float(aux.terms[name] - plain.terms[name])) > 1e-3


def test_frequencies_are_running_means():
    flow = jnp.zeros((1, 2, *SIZE, 2))
    net = PatchDiscriminator(motion=True)
    seen = nothing_seen(net)
    for _ in range(400):
        seen = remember(net, seen, Known(flow))
    np.testing.assert_allclose(seen.sum(), 1, rtol=1e-3)
    assert seen.shape == (KINDS,)


def test_a_judge_of_motion_needs_a_past():
    with pytest.raises(ValueError, match=r"history=1.*discriminator\.motion=false"):
        judging(history=0)
    net = PatchDiscriminator(features=4, layers=1)
    with pytest.raises(ValueError, match=r"history=1.*balance=false"):
        judging(history=0, discriminator=net, balance=True)


def small(name=""):
    config = demo.get_config(name)
    config.image.features = config.fusion.features = config.discriminator.features = 4
    return config


def test_networks_by_name():
    config = small()
    config.image.kind = "local_affine"
    assert image_generator(config) == LocalAffine(4, config.image.blocks)
    config.image.kind = "resnet"
    assert isinstance(image_generator(config), ResnetGenerator)
    config.image.kind = "unet"
    with pytest.raises(ValueError, match="local_affine"):
        image_generator(config)
    config.discriminator.norm = "batch"
    with pytest.raises(ValueError, match="instance"):
        discriminator(config)


@pytest.mark.parametrize("known", ["motion", "labels"])
def test_a_per_frame_method_judges_frames_alone(known):
    config = small("cyclegan")
    config.discriminator[known] = True
    with pytest.raises(ValueError, match=rf"'cyclegan'.*discriminator\.{known}=false"):
        method(config)


def test_runs_of_older_versions_are_what_they_were():
    config = ConfigDict(small().to_dict())
    config.image.kind, config.discriminator.norm = "resnet", "instance"
    config.discriminator.motion = config.discriminator.labels = config.balance = False
    config.weights.gradient_penalty = 0.0
    old = config.to_dict()
    new = [("image", "kind"), *(("discriminator", name) for name in ("norm", "motion", "labels"))]
    for group, field in [*new, ("weights", "gradient_penalty")]:
        del old[group][field]
    del old["balance"], old["evenness"]
    assert method(completed(old)) == method(config)


def test_modules_compare_by_their_fields():
    """What the comparison above rests on."""
    assert PatchDiscriminator(4) != PatchDiscriminator(4, motion=True)
    assert isinstance(PatchDiscriminator(4), nn.Module)


LABELS = PatchDiscriminator(features=4, layers=1, norm="none", labels=True)


def labelled(batch, source, target):
    """The batch with label maps, train ids [H, W] or one for everything."""
    shape = batch["source"]["frames"].shape[:4]
    maps = {"source": source, "target": target}
    return {
        name: batch[name] | {"labels": jnp.broadcast_to(jnp.asarray(value, jnp.int32), shape)}
        for name, value in maps.items()
    }


@pytest.mark.parametrize("history", [0, 2])
def test_labels_change_the_verdict(history):
    """Of real frames and of translated ones, each by its own domain's labels."""
    batch, made = draw_batch(frames=4, size=SIZE), judging(discriminator=LABELS, history=history)
    _, before = terms(made, labelled(batch, 10, 10))
    _, real = terms(made, labelled(batch, 10, 2))
    _, fake = terms(made, labelled(batch, 2, 10))
    judged, asked = "to_target/discriminator", "to_target/adversarial"
    assert abs(float(before.terms[judged] - real.terms[judged])) > 1e-4
    np.testing.assert_allclose(before.terms[asked], real.terms[asked], rtol=1e-5)
    assert abs(float(before.terms[asked] - fake.terms[asked])) > 1e-4


def test_what_is_translated_is_judged_with_its_own_frames_labels():
    """Labels of the history's frames are not looked at, those of every trained frame are."""
    batch, made = draw_batch(frames=4, size=SIZE), judging(discriminator=LABELS, history=2)
    batch = labelled(batch, 10, 10)
    found = []
    for t in range(4):
        labels = batch["source"]["labels"].at[:, t].set(2)
        _, aux = terms(made, batch | {"source": batch["source"] | {"labels": labels}})
        found.append(float(aux.terms["to_target/adversarial"]))
    _, plain = terms(made, batch)
    changed = [abs(value - float(plain.terms["to_target/adversarial"])) > 1e-4 for value in found]
    assert changed == [False, False, True, True]


def test_balance_counts_classes_where_labels_are_judged():
    batch, made = draw_batch(frames=4, size=SIZE), judging(discriminator=LABELS, balance=True)
    half = np.full(SIZE, 2)
    half[: SIZE[0] // 2] = 255
    _, aux = terms(made, labelled(batch, 10, half))
    np.testing.assert_allclose(aux.memory["to_target"], 0.02 * np.eye(20)[10], atol=1e-6)
    np.testing.assert_allclose(
        aux.memory["to_source"], 0.01 * (np.eye(20)[2] + np.eye(20)[19]), atol=1e-6
    )
    _, plain = terms(judging(discriminator=LABELS), labelled(batch, 10, half))
    name = "to_target/discriminator"
    assert abs(float(aux.terms[name] - plain.terms[name])) > 1e-3


def test_a_judge_of_labels_says_who_has_none():
    batch, made = draw_batch(frames=4, size=SIZE), judging(discriminator=LABELS)
    with pytest.raises(ValueError, match=r"no labels.*data\.labels=true"):
        terms(made, batch)


def test_evenness_counts_rare_classes_more():
    """A sixteenth of what is translated is a class of its own; everything real is of the other."""
    batch = draw_batch(frames=4, size=SIZE)
    rare = np.full(SIZE, 10)
    rare[:4, :8] = 13
    batch = labelled(batch, rare, 10)
    made = judging(discriminator=LABELS, balance=True)
    _, plain = terms(made, batch)
    _, even = terms(judging(discriminator=LABELS, balance=True, evenness=1.0), batch)
    asked = "to_target/adversarial"
    assert abs(float(plain.terms[asked] - even.terms[asked])) > 1e-3
    seen = jnp.asarray([0.015, 0.005, 0.0])
    np.testing.assert_allclose(_goal(seen, 0.0), seen)
    np.testing.assert_allclose(_goal(seen, 1.0), [0.01, 0.01, 0.0], rtol=1e-6)
    root = np.sqrt([0.0151, 0.0051])
    np.testing.assert_allclose(_goal(seen, 0.5)[:2], 0.02 * root / root.sum(), rtol=1e-4)


def styled(**options):
    weights = Weights(adversarial=0.0, cycle=0.0, content=0.0, temporal=0.0, style=2.0)
    net = PatchDiscriminator(features=4, layers=1, norm="none", labels=True)
    return judging(**({"weights": weights, "history": 0, "discriminator": net} | options))


def labelled_batch():
    batch = draw_batch(clips=2, frames=2, size=SIZE)
    rng = np.random.default_rng(1)
    for clip in batch.values():
        clip["labels"] = jnp.asarray(rng.integers(0, 3, (2, 2, *SIZE)))
    return batch


def test_the_style_term_pulls_at_the_moments_of_the_other_domain():
    made, batch = styled(), labelled_batch()
    totals, aux = terms(made, batch)
    after = aux.memory["style"]["to_target"]
    apart = style.distance(after["made"], after["goal"])
    np.testing.assert_allclose(aux.terms["to_target/style"], apart / (1 - KEEP), rtol=1e-4)
    both = aux.terms["to_target/style"] + aux.terms["to_source/style"]
    np.testing.assert_allclose(totals["generator"], 2 * both, rtol=1e-5)
    clips = zip(batch["target"]["frames"], batch["target"]["labels"], strict=True)
    goal, other = (style.moments(x / 127.5 - 1, labels, 20) for x, labels in clips)
    mean = jax.tree.map(lambda x, y: (1 - KEEP) * (x + y) / 2, goal, other)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), after["goal"], mean)


def test_the_moments_are_remembered_and_the_generator_is_taught_by_this_batch_alone():
    made, batch = styled(), labelled_batch()
    params, frozen = draw_params(made, batch)

    def run(params, memory):
        totals, aux = made.losses(params, frozen, memory, batch, jax.random.key(0))
        return totals["generator"], aux.memory

    slope = jax.jit(jax.grad(run, has_aux=True))
    first, memory = slope(params, made.init_memory(batch))
    second, after = slope(params, memory)
    # The same batch again: as good as the first, whose moments were alone.
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(y, (1 + KEEP) * x, atol=1e-6), memory, after
    )
    assert jax.tree.reduce(lambda a, x: a + jnp.abs(x).sum(), first["generator"], 0.0) > 1e-2
    one, other = (x["generator"]["to_target"]["image"]["conv"]["bias"] for x in (first, second))
    np.testing.assert_allclose(other / one, 1 / (1 + KEEP), rtol=1e-3)


def test_a_style_by_motion_needs_a_past():
    net = PatchDiscriminator(features=4, layers=1, norm="none")
    with pytest.raises(ValueError, match=r"style by motion.*--config.weights.style=0"):
        styled(discriminator=net)
    assert styled(discriminator=net, history=1).init_memory({})["style"]

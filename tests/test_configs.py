"""Every config builds; the paper's holds the paper's values."""

from __future__ import annotations

import importlib
import math
import pathlib

import jax
import pytest

from configs import default, demo, methods, viper2city
from v2v_jax import assembly
from v2v_jax.command_line import unknown_field

FILES = sorted(
    path.stem for path in (pathlib.Path(__file__).parents[1] / "configs").glob("[a-z]*.py")
)
WORLDS = ("demo", "videos", "viper2city")
CONFIGS = [
    "default",
    *WORLDS,
    *(f"{world}:{name}" for world in WORLDS for name in methods.OVERLAYS),
]
"""Those of single runs; the table's rows have tests of their own."""


def config_of(name):
    world, _, method = name.partition(":")
    module = importlib.import_module(f"configs.{world}")
    return module.get_config(method) if method else module.get_config()


def parameters(tree) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_builds_its_method_without_data_or_weights(name):
    described = assembly.description(config_of(name))
    method, batch = described["method"], described["batch"]
    params = jax.eval_shape(method.init, jax.random.key(0), batch)
    assert set(params) == set(method.players) == set(described["optimizers"])
    memory = jax.eval_shape(method.init_memory, batch)
    _, aux = jax.eval_shape(
        method.losses, params, described["frozen"], memory, batch, jax.random.key(0)
    )
    assert all(term.shape == () for term in aux.terms.values())


@pytest.mark.parametrize("name", FILES)
def test_every_config_says_its_command(name):
    module = importlib.import_module(f"configs.{name}")
    assert module.__doc__ and module.get_config.__doc__
    if name != "default":
        assert f"--config=configs/{name}.py" in module.__doc__


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_has_the_fields_of_the_default_one(name):
    config, known = config_of(name), default.get_config()
    paths = [f"{group}.{field}" for group in config if hasattr(config[group], "keys")
             for field in config[group]] + list(config)  # fmt: skip
    assert [problem for path in paths if (problem := unknown_field(known, path))] == []


def test_the_papers_values():
    config = viper2city.get_config()
    assert tuple(config.data.size) == (256, 512)  # section 4.1
    assert config.data.frames == 3  # K, section 3.5
    assert config.data.temporal_flip > 0  # section 3.7
    weights = config.weights
    assert (weights.adversarial, weights.cycle, weights.content, weights.temporal) == (
        1.0, 10.0, 1.0, 10.0,
    )  # fmt: skip  # eq. 8
    assert config.occlusion_alpha == 50.0  # eq. 7
    assert not config.occlusion_squared
    assert config.adversarial == "vanilla"  # eq. 3
    assert config.cycle_memory == "source"  # eq. 5
    assert (config.content.net, config.content.tap) == ("vgg16", "relu5_3")  # section 3.4
    assert (config.image.features, config.image.blocks) == (64, 6)  # appendix A.1
    optimizer = config.optimizer
    assert (optimizer.learning_rate, optimizer.b1, optimizer.b2) == (2e-4, 0.5, 0.999)
    # What the paper does not have is off.
    assert config.history == 0 and not config.gate and not config.losses_on_raw
    assert not config.truncate
    assert config.warm_up.steps == 0
    assert (config.image.upsample, config.image.up_init) == ("transpose", "normal")
    assert config.image.kind == "resnet" and config.discriminator.norm == "instance"
    assert not config.discriminator.motion and not config.balance
    assert not config.weights.gradient_penalty and not config.optimizer.discriminator_rate


def test_the_papers_networks():
    described = assembly.description(viper2city.get_config())
    params = jax.eval_shape(described["method"].init, jax.random.key(0), described["batch"])
    for direction in ("to_target", "to_source"):
        assert parameters(params["generator"][direction]["image"]) == 7_833_987
        assert parameters(params["discriminator"][direction]) == 2_763_841
    # VGG-16's convolutions, all thirteen.
    assert parameters(described["frozen"]["content"]) == 14_714_688


def test_the_demo_asks_for_random_weights_by_name():
    assert demo.get_config().content.weights == "random"
    assert default.get_config().content.weights == ""


def test_a_discriminator_of_motion_has_a_past_to_judge():
    """In every world, also where the paper's own history is 0."""
    for world in WORLDS:
        config = config_of(f"{world}:motion")
        assert config.discriminator.motion and config.balance and config.history >= 1


def test_files_are_worlds_tables_and_the_default():
    assert set(FILES) == {"default", *WORLDS, "tables", "tables_128x256"}


@pytest.mark.parametrize("name", [*methods.OVERLAYS])
def test_every_overlay_is_short_and_says_command_cost_and_expectation(name):
    module = importlib.import_module(f"configs.methods.{name}")
    text = pathlib.Path(module.__file__).read_text()
    assert len(text.splitlines()) <= 25
    head = module.__doc__
    assert f"--config=configs/demo.py:{name} " in head
    assert "Cost: " in head and "Expect " in head


@pytest.mark.parametrize("world", WORLDS)
def test_a_wrong_method_names_the_right_ones(world):
    with pytest.raises(ValueError, match="no method 'cyclegam': cyclegan, recyclegan, cycada, seg"):
        importlib.import_module(f"configs.{world}").get_config("cyclegam")

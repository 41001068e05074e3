"""From a raw download to training batches and evaluation clips, through the config."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from data import raw_trees

from configs import demo
from v2v_jax.assembly.data import batches, source
from v2v_jax.assembly.scoring import evaluation_clips
from v2v_jax.data.prepare.__main__ import main as prepare


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    """A VIPER and a Cityscapes data set at 16x32."""
    root = tmp_path_factory.mktemp("prepared")
    # 025 is one of Recycle-GAN's test clips.
    sequences = {"train/001": 6, "train/002": 5, "train/025": 6}
    raw_trees.write_tree(raw_trees.viper(sequences, backward=True), root / "viper_raw")
    raw_trees.write_tree(raw_trees.cityscapes({"train/aachen_000000": 0}), root / "city_raw")
    made = {}
    for kind in ("viper", "city"):
        made[kind] = str(root / kind)
        name = {"viper": "viper", "city": "cityscapes"}[kind]
        raw, size = f"--raw={root / (kind + '_raw')}", "--size=16,32"
        prepare([name, raw, f"--out={made[kind]}", size, "--workers=1", "--partial"])
    return made


def config(folders, **changes):
    made = demo.get_config()
    made.data.update(kind="records", source=folders["viper"], target=folders["city"], size=(16, 32))
    made.update_from_flattened_dict({"history": 0, "flow.kind": "dis", "flow.scale": 1.0} | changes)
    return made


def first(config, tmp_path, count=6) -> list[Any]:
    stream = batches(config, tmp_path)(0)
    try:
        return list(itertools.islice(stream, count))
    finally:
        stream.close()


def test_batches_of_prepared_records(folders, tmp_path):
    for batch in first(config(folders), tmp_path, 2):
        for clip in batch.values():
            assert clip["frames"].shape == (1, 3, 16, 32, 3)
            assert clip["frames"].std() > 5
            assert clip["flow"].shape == (1, 2, 16, 32, 2)


def test_given_flow_is_that_of_the_download_and_the_rest_is_estimated(folders, tmp_path):
    """VIPER's files know their flow, Cityscapes does not."""
    changes = {"flow.kind": "given", "flow.missing": "dis", "data.temporal_flip": 1.0}
    for batch in first(config(folders, **changes), tmp_path, 3):
        flow = batch["source"]["flow"][0, 0]
        # raw_trees: u = 6 + number of a 48 wide frame, v = -2.25 of 27 rows; NaN, Inf and 512 in
        # the first row.
        scaled = flow[8, :, 0] / (32 / 48) - 6
        np.testing.assert_allclose(scaled, np.round(scaled[0]), atol=0.05)
        assert (flow[0] >= 1e5).any()
        assert np.isfinite(batch["target"]["flow"]).all()
    with pytest.raises(ValueError, match=r"no forward flow is known for .*city.*flow.missing"):
        first(config(folders, **changes | {"flow.missing": ""}), tmp_path)


def test_flow_that_no_method_uses_is_not_read_from_prepared_records(folders, tmp_path):
    """Nor asked for: Cityscapes has none."""
    settings = config(folders, **{"flow.kind": "given", "data.temporal_flip": 0.0})
    stream: Any = batches(settings, tmp_path, ("source",))(0)
    batch: Any = next(stream)
    stream.close()
    assert {name: set(clip) for name, clip in batch.items()} == {
        "source": {"frames", "flow"},
        "target": {"frames"},
    }
    settings.data.target = folders["viper"]
    assert source(settings, "target", tmp_path).provides == {"flow", "forward_flow"}
    assert source(settings, "target", tmp_path, flow=False).provides == set()


def test_a_crop_of_prepared_records(folders, tmp_path):
    changes = {"data.size": (12, 16), "data.load_size": (16, 32)}
    (batch,) = first(config(folders, **changes), tmp_path, 1)
    assert batch["target"]["frames"].shape == (1, 3, 12, 16, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.size": (32, 64)}, r"frames of 16x32, but 32x64 .*prepare the data set"),
        ({"data.load_size": (12, 32)}, r"load_size: \(12, 32\) must be .* at least data.size"),
        ({"data.source": ""}, r"config.data.source is empty: give a folder that"),
        ({"data.source": "nowhere"}, r"nowhere"),
    ],
)
def test_bad_settings_are_named(folders, tmp_path, changes, message):
    with pytest.raises((ValueError, OSError), match=message):
        first(config(folders, **changes), tmp_path)


def test_evaluation_clips_are_the_test_split(folders, tmp_path):
    settings = config(folders, **{"evaluate.clips": 2, "evaluate.frames": 4})
    (clip,) = evaluation_clips(settings, "source", tmp_path)
    assert "025" in clip["name"] and clip["frames"].shape == (4, 16, 32, 3)
    known: dict[str, Any] = dict(clip)
    assert known["labels"].shape == (4, 16, 32)
    assert known["flow"].shape == known["forward"].shape == (3, 16, 32, 2)
    assert known["shaded"][:, 0].any() and not known["shaded"].all()

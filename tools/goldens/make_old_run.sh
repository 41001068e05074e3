#!/usr/bin/env bash
# A run of an older tree, that newer ones must resume, translate and evaluate with the same figures.
#
#     git worktree add /tmp/old c5709ea
#     tools/goldens/make_old_run.sh /tmp/old .venv/bin/python tests/golden/old_run
#
# The smallest run there is, stopped after 2 steps and again after 4: the checkpoint of step 2, and
# of what followed the log, the translation and the evaluation.
set -euo pipefail
old=$1 python=$(realpath -s "$2") out=$(realpath -m "$3")
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
tiny=(--config=configs/demo.py "--workdir=$run/run" --config.data.size=16,32 --config.data.clips=2
  --config.data.length=8 --config.image.features=4 --config.image.blocks=1
  --config.fusion.features=4 --config.discriminator.features=4 --config.discriminator.layers=1
  --config.content.features=4 --config.content.tap=relu1_2 --config.history=1 --config.log_every=1
  --config.picture_every=0 --config.checkpoint_every=100 --config.evaluate.frames=8
  --config.evaluate.clips=1 --config.evaluate.probes=false)
cd "$old"
export PYTHONPATH=$PWD:$PWD/third_party JAX_PLATFORMS=cpu
main() { "$python" -m v2v_jax.main "$@"; }
main "${tiny[@]}" --config.steps=2
rm -rf "$out" && mkdir -p "$out/checkpoints"
cp -r "$run/run/checkpoints/2" "$out/checkpoints/"
main --mode=evaluate "--workdir=$run/run"
cp "$run/run/evaluation.json" "$out/"
"$python" - "$run/run" "$out/translated.npz" <<'PY'
import sys

import numpy as np

import v2v_jax

game = np.random.default_rng(0).integers(0, 256, (5, 16, 32, 3), np.uint8)
np.savez_compressed(sys.argv[2], game=game, street=v2v_jax.Translator.load(sys.argv[1])(game))
PY
main "${tiny[@]}" --config.steps=4
cp "$run/run/metrics.jsonl" "$out/"

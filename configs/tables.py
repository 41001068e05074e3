"""Tables 1, 2, 3 and 6 of the paper in miniature, on the built-in driving world.

python -m v2v_jax.main --mode=table --config=configs/tables.py --workdir=runs/tables

Every row is an ordinary run with the same data, the same frames per step and the same number of
steps; a killed table goes on where it stopped.  Some rows only, or more seeds:
``--config.only="('ours', 'cyclegan')" --config.seeds="(0, 1)"``.
"""

from ml_collections import ConfigDict

from configs import demo

STEPS = 300
JUDGED = ("segmenter.run", "segmenter")
BEST = ("cyclegan", "cyclegan_bt", "cycada", "cycada_bt", "recyclegan")
ERROR, MIOU, ACCURACY = "warping_error/output", "miou/output", "pixel_accuracy/output"


def row(title, run, tables=(), *needs):
    """One row: title, run, the paper's tables it stands in, (field, row whose run goes there)."""
    run.steps = STEPS
    run.evaluate.clips = 8
    run.picture_every, run.checkpoint_every, run.log_every = 0, 100, 50
    return ConfigDict({"title": title, "run": run, "tables": tables, "needs": needs})


def steadies(other):
    """What a stabiliser needs: the run it is trained over."""
    return "stabiliser.run", other


def single_frames(run):
    """As many frames a step as the methods that train on clips of three."""
    run.data.frames, run.data.batch_size = 1, 3
    return run


def ours(**changes):
    """The demo's configuration of the paper's method, with changes by dotted name."""
    run = demo.get_config()
    run.update_from_flattened_dict({name.replace("__", "."): v for name, v in changes.items()})
    return run


def claims():
    """The orderings of the paper's tables: (row, figure, sign, factor, other row)."""
    better = [("ours", f, ">", 1.0, r) for f in (MIOU, "fwiou/output", ACCURACY) for r in BEST]
    better += [("ours", ERROR, "<", 1.0, other) for other in BEST]
    better += [("ours", ERROR, "<", 0.5, "cyclegan"), ("ours", ERROR, "<", 2.0, "source")]
    better += [("no_temporal", ERROR, ">", 1.0, "ours"), ("no_content", MIOU, "<", 1.0, "ours")]
    for fusion in ("average", "rule"):
        better += [(fusion, MIOU, "<", 1.0, "ours"), (fusion, ERROR, ">", 1.0, "ours")]
    return tuple(better)


def get_config():
    """All rows; change a run's field with --config.rows.ours.run.weights.content=2."""
    config = ConfigDict()
    config.seeds = (0,)
    config.only = ()  # rows to train, with those they need; (): all
    rows = {
        "cyclegan": row("CycleGAN", single_frames(demo.get_config("cyclegan")), (1, 2)),
        "cyclegan_bt": row("CycleGAN + BT", demo.get_config("bt"), (1, 2), steadies("cyclegan")),
        "segmenter": row("Segmenter of the source", demo.get_config("segmenter")),
        "cycada": row("CyCADA", single_frames(demo.get_config("cycada")), (1, 2), JUDGED),
        "cycada_bt": row("CyCADA + BT", demo.get_config("bt"), (1, 2), steadies("cycada")),
        "recyclegan": row("RecycleGAN", demo.get_config("recyclegan"), (1, 2)),
        "ours": row("Ours", ours(), (1, 2, 3, 6)),
        # Without what keeps the mask honest: docs/smearing.md.
        "letter": row(
            "Ours, the paper to the letter",
            ours(history=0, cycle_memory="source", gate=False, weights__temporal=10.0),
            (1, 2),
        ),
        "no_temporal": row("− temporal consistency", ours(weights__temporal=0.0), (3,)),
        "no_content": row("− content preserving", ours(weights__content=0.0), (3,)),
        "average": row("Fusion: average", ours(fusion__kind="average", gate=False), (6,)),
        "rule": row(
            "Fusion: rule (occlusion mask)", ours(fusion__kind="rule", gate_squared=False), (6,)
        ),
        "zero_flow": row("Flow: zero", ours(flow__kind="zero"), (6,)),
    }
    config.rows = ConfigDict(rows)
    config.order = tuple(rows)
    config.claims = claims()
    config.matrices = ("cyclegan", "ours")
    # The same image generator trained on pairs with the truth: what the network could do.
    # --config.pairs.steps=0 leaves the row out.
    config.pairs = ConfigDict({"steps": STEPS, "batch": 6, "learning_rate": 2e-3})
    return config

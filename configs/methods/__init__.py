"""One overlay per method, laid over a world: ``--config=configs/demo.py:cyclegan``."""

from configs.methods import bt, cycada, cyclegan, labels, motion, recyclegan, segmenter

OVERLAYS = {
    "cyclegan": (cyclegan.overlay,),
    "recyclegan": (cyclegan.overlay, recyclegan.overlay),
    "cycada": (cyclegan.overlay, cycada.overlay),
    "segmenter": (segmenter.overlay,),
    "bt": (bt.overlay,),
    "motion": (motion.overlay,),
    "labels": (motion.overlay, labels.overlay),
}
"""What stands behind the colon -> what is laid over the world, in this order."""


def over(config, name, own):
    """Lays a method over a world's config.

    Args:
        config: the world's, which is the paper's method; changed in place.
        name: of ``OVERLAYS``; "" for the paper's method.
        own: method -> fields by dotted name that this world sets otherwise.

    Raises:
        ValueError: no such method.
    """
    if name and name not in OVERLAYS:
        known = ", ".join(OVERLAYS)
        raise ValueError(f"no method {name!r}: {known}, or nothing for the paper's")
    for overlay in OVERLAYS.get(name, ()):
        overlay(config)
    config.update_from_flattened_dict(own.get(name, {}))
    return config

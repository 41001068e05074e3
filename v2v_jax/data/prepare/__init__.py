"""From raw downloads to prepared data sets: ``python -m v2v_jax.data.prepare --help``.

Reads published zips or unpacked trees (`viper`, `cityscapes`, `recyclegan`, any videos), resamples
on all cores and writes one TFDS data set of ArrayRecord files, one record per frame.  A killed run
goes on where it stopped, and the result is byte for byte that of an undisturbed one.
"""

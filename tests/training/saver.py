"""Saves ever more checkpoints, for tests that kill it or take its disk away.

``python saver.py '{"directory": ..., "megabytes": ..., "limit": ...}'``
"""

from __future__ import annotations

import json
import os
import resource
import sys


def main() -> None:
    options = json.loads(sys.argv[1])
    import jax
    import numpy as np

    from v2v_jax.training.checkpoints import Checkpoints

    def state(step):
        # Random, so that it does not compress.
        rng = np.random.default_rng(step)
        shape = (options["megabytes"] * 2**18,)
        return {"step": jax.numpy.asarray(step), "w": jax.numpy.asarray(rng.random(shape, "f4"))}

    checkpoints = Checkpoints(options["directory"], keep=2)
    if not options.get("limit"):
        for step in range(1, 1000):
            checkpoints.save(step, state(step), {})
        return
    for step in (0, 1):
        checkpoints.save(step, state(step), {})
    checkpoints.wait()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (options["limit"], unlimited[1]))
    for attempt in (2, 3):
        try:
            checkpoints.save(attempt, state(attempt), {})
            checkpoints.wait()
        except OSError as error:
            print("FAILED", attempt, error)
        # At once, before anything opens the directory anew.
        print("LEFT", checkpoints.latest_step(), sorted(os.listdir(options["directory"])))
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    restored = checkpoints.restore_latest(state(1))
    assert restored is not None
    np.testing.assert_array_equal(restored[0]["w"], state(1)["w"])
    checkpoints.save(4, state(4), {})
    checkpoints.close()
    print("STEPS", Checkpoints(options["directory"]).latest_step())


if __name__ == "__main__":
    main()

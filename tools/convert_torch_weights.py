"""``python -m v2v_jax.weights.convert``, for those who know it by this name."""

import sys

from v2v_jax.weights.convert import main

if __name__ == "__main__":
    sys.exit(main())

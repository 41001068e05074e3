"""Strict JAX for every test: full float32, no rank promotion, several virtual devices, one cache.

Programs are compiled without most of XLA's optimisations, which are three quarters of a whole
run's time; a test whose numbers need them asks for ``optimised``.

The settings are environment variables, so that a test's subprocesses run under them too.
"""

import os
import pathlib

_CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "8"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE / "v2v_jax" / "test_programs"))
# A bounded cache takes a file lock; an unbounded one lets xdist workers read half-written entries.
os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(2 * 1024**3))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")

import pytest  # noqa: E402
from absl import flags  # noqa: E402

# Grain reads absl flags, which pytest never parses.
if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()


@pytest.fixture
def optimised():
    """Programs as users compile them."""
    import jax

    # What is compiled already would be taken as it is, and what is compiled here by the next test.
    former = jax.config.values["jax_disable_most_optimizations"]
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", former)
    jax.clear_caches()


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of reference values and recordings next to the checkout; skips without it."""
    folder = pathlib.Path(__file__).parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    return folder

"""Strict JAX for every test: full float32, no rank promotion, several virtual devices, one cache.

Programs are compiled without most of XLA's optimisations, which are three quarters of a whole
run's time; a test whose numbers need them has the one program compiled by ``optimised``.

The settings are environment variables, so that a test's subprocesses run under them too.
"""

import gc
import importlib.util
import mmap
import os
import pathlib

_CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()


def _quick_to_compile() -> str:
    """Flags of XLA for little compiling; one that it does not know ends the process.

    Not xla_cpu_use_fusion_emitters=false, which halves the rest: docs/suite.md.
    """
    former = os.environ.get("XLA_FLAGS", "")
    wanted = ("xla_cpu_parallel_codegen_split_count=1",)
    missing = [flag for flag in wanted if flag.partition("=")[0] not in former]
    found = importlib.util.find_spec("jaxlib") if missing else None
    library = pathlib.Path(found.origin or "").with_name("libjax_common.so") if found else None
    if library is None or not library.is_file():
        return former
    with library.open() as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as code:
        known = [flag for flag in missing if code.find(flag.partition("=")[0].encode()) >= 0]
    return " ".join([former, *(f"--{flag}" for flag in known)]).strip()


os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "8"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1":
    os.environ["XLA_FLAGS"] = _quick_to_compile()
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE / "v2v_jax" / "test_programs"))
# A bounded cache takes a file lock; an unbounded one lets xdist workers read half-written entries.
os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(2 * 1024**3))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")

import pytest  # noqa: E402
from absl import flags  # noqa: E402

# Tracing makes many small objects that live long: looking for circles is a twentieth of the time.
gc.set_threshold(50_000, 20, 50)

# Grain reads absl flags, which pytest never parses.
if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()


@pytest.fixture
def optimised():
    """Compiles a jitted function as users do: ``optimised(jitted)`` -> the same, jitted anew."""
    import jax

    options = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
    if "xla_cpu_use_fusion_emitters" in os.environ.get("XLA_FLAGS", ""):
        options["xla_cpu_use_fusion_emitters"] = True
    return lambda jitted: jax.jit(jitted.__wrapped__, compiler_options=options)


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of reference values and recordings next to the checkout; skips without it."""
    folder = pathlib.Path(__file__).parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    return folder

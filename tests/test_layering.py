"""DESIGN.md's table of who may import whom, and the other habits a machine can check."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MODULES = sorted((ROOT / "v2v_jax").rglob("*.py"))
PORT = sorted((ROOT / "third_party" / "flownet2_port").rglob("*.py"))

# A layer may import itself and what stands here; a layer is a folder or a file of v2v_jax.
MAY_IMPORT = {
    "types": (),
    "ops": ("types",),
    "nets": ("types",),
    "losses": ("types",),
    "data": ("types",),
    "recurrence": ("types", "ops"),
    "flow": ("types", "ops", "flownet2_port"),
    "methods": ("types", "ops", "losses", "recurrence"),
    "training": ("types", "methods.base"),
    "evaluation": ("types", "ops", "recurrence", "methods.base", "training.checkpoints"),
    "translator": ("types", "ops", "recurrence", "methods.base", "training.checkpoints"),
    "weights": (),
    "arguments": (),
    "command_line": ("arguments",),
    "versions": (),
    "main": ("arguments", "command_line", "assembly", "training", "evaluation", "translator"),
}
# A command inside a layer, which nobody imports, besides what the layer may.
COMMANDS = {"weights.convert": ("data.atomic", "flownet2_port")}
# Packages that only these modules may import, wherever in the file the import stands.
ONLY_IN = {
    "orbax": {"training.checkpoints"},
    "ml_collections": {"assembly", "main"},
    "flownet2_port": {"flow.flownet2", "flow.raft", "weights.convert"},
}
WITHOUT_JAX = ("data", "weights")
# Who may draw the perfect translation; and what of assembly makes a training's data and methods.
MAY_DRAW_THE_TRUTH = {"data.world.world", "assembly.scoring", "assembly.upper_bound"}
TRAINS = ("assembly.data", "assembly.methods", "assembly.networks")
LONGEST_FUNCTION, LONGEST_LOOP, LONGEST_CORE_FILE = 60, 170, 250
LONGEST_FILE = 320
NOT_CORE = ("data", "evaluation")


def dotted(path: pathlib.Path) -> str:
    """``training.loop`` for v2v_jax/training/loop.py, ``training`` for its __init__."""
    parts = path.relative_to(ROOT / "v2v_jax").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: pathlib.Path, *, top_level: bool = False) -> Iterator[str]:
    """Dotted names that a file imports; ``from a import b`` gives a.b."""
    tree = ast.parse(path.read_text())
    for node in _run_on_import(tree) if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _run_on_import(child)


def within(name: str, layer: str) -> bool:
    return name == layer or name.startswith(f"{layer}.")


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_follow_the_table(path):
    module = dotted(path)
    layer = module.partition(".")[0]
    names = [name.removeprefix("v2v_jax.") for name in imports(path)]
    ours = [name for name, full in zip(names, imports(path), strict=True) if full != name]
    for package, allowed in ONLY_IN.items():
        known = any(within(module, other) for other in allowed)
        assert known or not any(within(name, package) for name in names), package
    if layer in ("", "assembly"):
        return
    assert layer in MAY_IMPORT, f"{layer} has no row in the table"
    for name in ours + [name for name in names if within(name, "flownet2_port")]:
        allowed = (layer, *MAY_IMPORT[layer], *COMMANDS.get(module, ()))
        assert any(within(name, other) for other in allowed), name
        assert not any(within(name, command) for command in COMMANDS), name
    if layer in WITHOUT_JAX:
        assert not any(within(name, "jax") for name in imports(path, top_level=True))


@pytest.mark.parametrize("path", PORT, ids=lambda path: path.stem)
def test_port_knows_nothing_of_us(path):
    assert not any(within(name, "v2v_jax") for name in imports(path))


@pytest.mark.parametrize("path", MODULES + PORT, ids=lambda path: path.stem)
def test_habits(path):
    for package in ("tensorflow", "torch"):
        assert not any(within(name, package) for name in imports(path, top_level=True))
    assert path.stem not in ("utils", "helpers", "misc")
    text = path.read_text()
    if path in PORT or dotted(path).partition(".")[0] not in NOT_CORE:
        lines = text.count("\n")
        assert lines <= LONGEST_CORE_FILE, f"{lines} lines"
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.body[0].lineno + 1
            limit = LONGEST_LOOP if path.name == "loop.py" else LONGEST_FUNCTION
            assert length <= limit, f"{node.name} has {length} lines"


def test_figures_lean_on_no_table():
    """``evaluation.reporting`` shows what evaluation finds; the session hands it over."""
    for path in MODULES:
        module = dotted(path)
        if within(module, "evaluation") and not within(module, "evaluation.reporting"):
            leans = any(within(n, "v2v_jax.evaluation.reporting") for n in imports(path))
            assert leans == (module == "evaluation.session"), module


def test_scripts_hide_no_module_of_the_standard_library():
    """A script's folder comes first on the path of its neighbours."""
    for path in (ROOT / "tools").rglob("*.py"):
        assert path.stem not in sys.stdlib_module_names, path


def _draws_the_truth(path: pathlib.Path) -> bool:
    """Names ``World.perfect``, or asks for a world in another look."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    named = any(isinstance(node, ast.Attribute) and node.attr == "perfect" for node in nodes)
    looks = [n for n in nodes if isinstance(n, ast.Call) and "look" in {k.arg for k in n.keywords}]
    return named or bool(looks)


def _modules_of(path: pathlib.Path) -> set[str]:
    """What a file imports, with and without the last name of ``from a.b import c``."""
    names = set(imports(path))
    return names | {name.rpartition(".")[0] for name in names}


def _reached(start: tuple[str, ...]) -> set[str]:
    """Our modules that some layers or modules import, directly or not, they themselves too."""
    files = {dotted(path): path for path in MODULES}
    reached, open_ = set(), [name for name in files if any(within(name, s) for s in start)]
    while open_:
        module = open_.pop()
        if module in reached:
            continue
        reached.add(module)
        for name in imports(files[module]):
            name = name.removeprefix("v2v_jax.")
            # ``from v2v_jax.assembly import flows`` names the module, not what the folder gathers.
            parent = name.rpartition(".")[0]
            open_ += [other for other in (name, parent)[: 1 if name in files else 2] if other]
            open_ = [other for other in open_ if other in files]
    return reached


def test_the_truth_is_for_scores_alone():
    """Nothing that trains can name the perfect translation or what measures by it."""
    drawn = {dotted(path) for path in MODULES if _draws_the_truth(path)}
    assert "assembly.scoring" in drawn and drawn <= MAY_DRAW_THE_TRUTH
    trained = _reached(("training", "methods", "losses", "recurrence", "nets", "data", *TRAINS))
    assert {"data.pipeline", "methods.base", "assembly.choice", "training.loop"} <= trained
    shown = {name for name in trained if within(name, "evaluation")}
    assert not shown and not trained & (MAY_DRAW_THE_TRUTH - {"data.world.world"})
    # What trains on the truth is a row of the tables, and nobody else's.
    users = {dotted(p) for p in MODULES if "v2v_jax.assembly.upper_bound" in _modules_of(p)}
    assert users == {"assembly.table"}


def test_configs_are_plain():
    for path in (ROOT / "configs").rglob("*.py"):
        foreign = [n for n in imports(path) if not within(n, "ml_collections")]
        assert all(
            within(n, "configs") or n.partition(".")[0] in sys.stdlib_module_names for n in foreign
        ), f"{path.name}: {foreign}"


def test_no_package_registry_is_named():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    hosts = re.compile(
        "|".join(
            (
                "pypi" + r"\.org",
                "python" + "hosted",
                "npmjs" + r"\.",
                "conda" + r"\.anaconda",
                "index" + "-url",
            )
        )
    )
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".npz", ".png", ".gif", ".mp4", ".jpg") or not path.is_file():
            continue
        assert not hosts.search(path.read_text(errors="ignore")), name


def run_python(*args: str) -> str:
    done = subprocess.run([sys.executable, *args], cwd=ROOT, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_importing_the_package_is_light():
    code = "import sys, v2v_jax; print(sorted({'jax', 'numpy', 'cv2'} & set(sys.modules)))"
    assert run_python("-c", code).strip() == "[]"


def test_help_is_light():
    timed = run_python("-X", "importtime", "-m", "v2v_jax.main", "--help")
    assert "--workdir" in timed
    imported = re.findall(r"^import time:.*\|\s+(jax|jaxlib|flax|numpy|tensorflow)$", timed, re.M)
    assert not imported


def test_data_has_wings_and_no_circle():
    """Rooms of v2v_jax/data (its folders and top files), and who leans on whom."""
    rooms: dict[str, set[str]] = {}
    for path in sorted((ROOT / "v2v_jax" / "data").rglob("*.py")):
        room = dotted(path).split(".")[1:2]
        if not room:
            continue
        leans = rooms.setdefault(room[0], set())
        for name in imports(path):
            parts = name.removeprefix("v2v_jax.data.").split(".")
            if name.startswith("v2v_jax.data.") and parts[0] != room[0]:
                leans.add(parts[0])
    floors: dict[str, int] = {}
    while len(floors) < len(rooms):
        ready = {r for r, on in rooms.items() if r not in floors and on <= floors.keys()}
        assert ready, f"a circle among {sorted(rooms.keys() - floors.keys())}"
        floors |= {r: 1 + max((floors[o] for o in rooms[r]), default=0) for r in ready}
    assert len(rooms) <= 11
    assert sum(map(len, rooms.values())) <= 19
    assert max(floors.values()) <= 5

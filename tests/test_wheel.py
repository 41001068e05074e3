"""What is built and installed does the README's tasks, outside any checkout."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tarfile
import venv
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TINY = [
    f"--config.{setting}"
    for setting in (
        "data.size=(16,32)", "data.clips=2", "data.length=8", "image.features=4", "image.blocks=1",
        "discriminator.features=4", "discriminator.layers=1", "log_every=1", "picture_every=0",
        "evaluate.frames=8", "evaluate.clips=1", "evaluate.probes=False", "steps=2",
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel made from the sdist, as a package index would get them."""
    folder = tmp_path_factory.mktemp("dist")
    hatch = [sys.executable, "-m", "hatchling", "build", "-d", str(folder), "-t"]
    subprocess.run([*hatch, "sdist"], cwd=ROOT, check=True, capture_output=True)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    subprocess.run([*hatch, "wheel"], cwd=unpacked, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """(run, folder): runs a command in a venv that has the wheel, from an empty folder."""
    folder = tmp_path_factory.mktemp("user")
    venv.create(folder / "venv", symlinks=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(site)
    # The dependencies of the tests' own environment, without this checkout.
    paths = [p for p in sys.path if p.endswith("site-packages")]
    (site / "z.pth").write_text("\n".join(paths) + "\n")
    (folder / "empty").mkdir()
    keep = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"JAX_NUM_CPU_DEVICES": "1"}

    def run(*arguments: str) -> str:
        command = [str(folder / "venv" / "bin" / "python"), "-m", *arguments]
        done = subprocess.run(
            command, cwd=folder / "empty", env=keep, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run, folder


def test_the_wheel_holds_what_the_readme_names(built):
    with zipfile.ZipFile(built) as archive:
        names = set(archive.namelist())
        scripts = next(n for n in names if n.endswith("entry_points.txt"))
        assert "v2v-jax = v2v_jax.main:run" in archive.read(scripts).decode()
        metadata = archive.read(next(n for n in names if n.endswith("METADATA"))).decode()
    for wanted in ("py.typed", "configs/demo.py", "configs/methods/cyclegan.py",
                   "weights/convert.py", "data/raw/class_maps/viper.csv"):  # fmt: skip
        assert f"v2v_jax/{wanted}" in names
    assert "flownet2_port/LICENSE" in names
    assert not [n for n in names if n.startswith(("configs/", "tests/", "tools/"))]
    assert "Project-URL" not in metadata and "Home-page" not in metadata


def test_it_trains_translates_evaluates_and_describes(installed):
    run, folder = installed
    (folder / "empty" / "where.py").write_text("import v2v_jax; print(v2v_jax.__file__)")
    assert pathlib.Path(run("where").strip()).is_relative_to(folder / "venv")
    work = folder / "run"
    main = "v2v_jax.main"
    run(main, "--config=demo:cyclegan", f"--workdir={work}", *TINY)
    code = (
        "import sys; from v2v_jax.data.world import World; "
        "from v2v_jax.data.media.writer import VideoWriter; "
        "frames = World('game', 'test', height=16, width=32, clips=1, length=4).frames(0).frames; "
        "writer = VideoWriter(sys.argv[1], 15, 16, 32); [writer.write(f) for f in frames]; "
        "writer.close()"
    )
    (folder / "empty" / "draw.py").write_text(code)
    run("draw", str(folder / "in.mp4"))
    run(main, "--mode=translate", f"--workdir={work}", f"--input={folder}/in.mp4",
        f"--output={folder}/out.mp4")  # fmt: skip
    assert (folder / "out.mp4").stat().st_size > 0
    run(main, "--mode=evaluate", f"--workdir={work}")
    assert (work / "report.html").is_file()
    assert "blind" not in run(main, "--mode=describe", "--config=demo:recyclegan", *TINY[:7])
    assert "GFLOP" in run(main, "--mode=describe", "--config=viper2city:cyclegan", *TINY[:7])
    assert "KIND" in run("v2v_jax.weights.convert", "--help")


def test_a_users_own_file_imports_the_configs_and_a_folder_hides_no_name(installed):
    run, folder = installed
    (folder / "empty" / "mine.py").write_text(
        "from configs import demo\n\nget_config = demo.get_config\n"
    )
    (folder / "empty" / "demo").mkdir()
    for config in ("mine.py:cyclegan", "demo:cyclegan"):
        assert "GFLOP" in run("v2v_jax.main", "--mode=describe", f"--config={config}", *TINY[:7])

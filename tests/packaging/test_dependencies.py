"""What the package imports is what it says it needs, and what is not there is asked for in one sentence."""

import ast
import contextlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from typing import get_args

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from places import ROOT, TINY

from hawp_core.runtime.extras import EXTRA_OF
from hawp_core.runtime.setting_types import TrackerName

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Used through their programs and profiles, not imported by the package.
PROGRAMS = {"snakemake", "snakemake-executor-plugin-slurm"}


def names(requirements: list[str]) -> set[str]:
    """Normalised names of distributions, without versions and extras; the package's own extras are left out."""
    found = {re.match(r"[\w.-]+", requirement)[0] for requirement in requirements}
    return {re.sub(r"[-_.]+", "-", name).lower() for name in found} - {PROJECT["name"]}


BASE = names(PROJECT["dependencies"])
EXTRAS = {extra: names(requirements) for extra, requirements in PROJECT["optional-dependencies"].items()}


def distribution(module: str) -> set[str]:
    """The distributions that bring a module, by normalised name."""
    return names(packages_distributions().get(module, [module]))


ASKED = {"require", "how_to_get"}  # functions of runtime/extras.py that name a module


def imported(tree: ast.AST) -> Iterator[str]:
    """Top-level modules that a program imports, and those that it requires of an extra before something else does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ASKED:
            yield from (
                each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )


@pytest.fixture(scope="module")
def used() -> set[str]:
    """Modules from elsewhere that the package uses."""
    files = [path for path in (ROOT / "hawp_core").rglob("*.py") if path.name != "extras.py"]
    found = {module for path in files for module in imported(ast.parse(path.read_text()))}
    # Trackers are required by their names.
    found |= set(get_args(TrackerName))
    return found - set(sys.stdlib_module_names) - {"hawp_core"}


def test_what_is_imported_is_a_dependency_or_belongs_to_an_extra(used):
    assert {module for module in used if module not in EXTRA_OF and not distribution(module) & BASE} == set()


def test_every_dependency_is_imported(used):
    needed = set().union(*(distribution(module) for module in used))
    assert needed >= BASE
    listed = {name for extra, found in EXTRAS.items() if extra != "test" for name in found}
    assert needed >= listed - PROGRAMS


def test_the_table_of_extras_is_pyprojects():
    for module, extra in EXTRA_OF.items():
        assert distribution(module) & EXTRAS[extra], module
    for extra, found in EXTRAS.items():
        if extra != "test":
            known = set().union(*(distribution(module) for module in EXTRA_OF if EXTRA_OF[module] == extra))
            assert found - PROGRAMS == known, extra
        assert not found & BASE, extra


def test_the_environments_have_every_extra():
    lock = names(re.findall(r"^[\w.-]+", (ROOT / "envs" / "requirements.lock").read_text(), re.MULTILINE))
    assert lock >= BASE.union(*EXTRAS.values())
    assert "--all-extras" in (ROOT / "Makefile").read_text()
    rules = yaml.safe_load((ROOT / "envs" / "hawp.yaml").read_text())["dependencies"][-1]["pip"]
    assert rules == ["-e ..[workflow]"], "the conda environment of all rules, and of Snakemake itself"
    # What the rules' commands import, whoever asks for it.
    (own,) = (each for each in PROJECT["optional-dependencies"]["workflow"] if each.startswith(PROJECT["name"]))
    assert own == f"{PROJECT['name']}[train,report,bundled]"


def test_what_is_installed_is_known_by_its_digest_whoever_serves_it():
    lock = (ROOT / "envs" / "requirements.lock").read_text()
    pinned = re.split(r"\n(?! )", lock.strip())
    assert [
        each for each in pinned if not re.fullmatch(r"\S+==[^\n]+( \\\n    --hash=sha256:[0-9a-f]{64})+", each)
    ] == []
    # Also what sets the environment up, and what builds from source.
    assert names([each.partition("=")[0] for each in pinned]) >= {"uv", "setuptools"}
    for line in (ROOT / "Makefile").read_text().splitlines():
        if " install " in line and "-r " in line:
            assert "--require-hashes" in line, line


def test_the_base_install_stays_small():
    pulled, open_ = set(), list(PROJECT["dependencies"])
    while open_:
        requirement = Requirement(open_.pop())
        name = canonicalize_name(requirement.name)
        if name not in pulled and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            pulled.add(name)
            # Another system's are not installed here.
            with contextlib.suppress(PackageNotFoundError):
                open_ += requires(name) or []
    assert {"torch", "numpy", "sympy"} <= pulled
    assert pulled & (set().union(*EXTRAS.values()) | {"snakemake", "tensorboard", "matplotlib"}) == set()


# Without a library, in a process of its own

HIDE = """
import sys
for module in sys.argv[1].split(","):
    sys.modules[module] = None
from hawp_core.commands.cli import main
sys.argv = ["hawp", *sys.argv[2:]]
sys.exit(main(sys.argv[1:]))
"""


def hawp_without(modules: str, *words: object) -> tuple[int, str]:
    """Run a command where `modules` are not installed: returns its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", HIDE, modules, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


ABSENT = {
    "h5py": ("train", ["synthesize", "--config", TINY]),
    "scipy": ("train", ["evaluate", "--config", TINY, "--ckpt", "model.pth"]),
    "tensorboard": ("train", ["train", "--datacfg", "shapes.yaml", "--modelcfg", TINY, "--name", "a"]),
    "mlflow": ("mlflow", [
        "train", "--datacfg", "shapes.yaml", "--modelcfg", TINY, "--name", "a", "--trackers", "mlflow"
    ]),
    "matplotlib": ("report", ["report", "--config", TINY]),
    # Nothing of it is there: its own extra brings the others' too.
    "h5py,starlette": ("explore", ["explore", "--no-browser"]),
    "skimage": ("bundled", ["plan", "--config", TINY]),
}  # fmt: skip


@pytest.mark.parametrize("module", ABSENT)
def test_a_missing_library_is_asked_for_in_one_sentence(workplace, module):
    extra, words = ABSENT[module]
    code, printed = hawp_without(module, *words)
    assert code == 2, printed
    assert (
        f"{module.partition(',')[0]} is not installed" in printed and f"pip install 'hawp-rounds[{extra}]'" in printed
    )
    assert len(printed.splitlines()) == 1, printed


def test_what_is_always_installed_is_enough_to_predict_and_to_look(workplace, model, photographs):
    extras = ",".join(EXTRA_OF)
    assert "synthesize" in hawp_without(extras, "--help")[1]
    code, printed = hawp_without(extras, "plan", "--config", TINY, f"photographs={{folder: {photographs}}}")
    assert code == 0, printed
    options = ("--threshold", "0", "--ext", "png", "svg", "json", "npz")
    code, printed = hawp_without(extras, "predict", photographs, "--ckpt", model, *options)
    assert code == 0 and "6 images" in printed, printed

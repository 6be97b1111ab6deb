"""Libraries that only some commands need, and which extra of the package brings them.

What `hawp predict` needs is always installed; `pyproject.toml` lists the rest by extra.
"""

import importlib.util

from hawp_core.errors import UserError

# Module: the extra that lists its library (tests/packaging/test_dependencies.py compares).
EXTRA_OF = {
    "h5py": "train",
    "kornia": "train",
    "scipy": "train",
    "tensorboard": "train",
    "matplotlib": "report",
    "skimage": "bundled",
    "starlette": "explore",
    "uvicorn": "explore",
    "mlflow": "mlflow",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
}


def require(*modules: str) -> None:
    """Make sure that libraries are there before work begins that will import them.

    Args:
        modules: keys of `EXTRA_OF`; the extra of the last one brings them all.

    Raises:
        UserError: one is not installed.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise UserError(how_to_get(module, EXTRA_OF[modules[-1]]))


def how_to_get(module: str, extra: str = "") -> str:
    """One sentence on how to install a module of `EXTRA_OF`, alone or with all of another extra that brings it."""
    extra = extra or EXTRA_OF[module]
    return (
        f"{module} is not installed and comes with the extra '{extra}': say `pip install 'hawp-rounds[{extra}]'`, "
        "or `make setup` in a checkout."
    )

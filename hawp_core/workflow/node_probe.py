"""What a job finds on its node, as one line of JSON: run as text by `python -c`, so it needs nothing but Python's own library.

Arguments: a file that the login node wrote, a file to write beside it, and the photographs' folder.
"""

import importlib.metadata
import json
import os
import platform
import sys
import time


def versions() -> dict[str, str]:
    """The versions of Python and of what decides about results."""
    found = {"python": platform.python_version()}
    for name in ("torch", "numpy", "snakemake", "hawp-rounds"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def gpus() -> int:
    """How many GPUs PyTorch sees; -1 where it cannot be imported."""
    try:
        import torch
    except Exception:
        return -1
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def visible(seen: str, answer: str) -> bool:
    """Whether this node sees the login node's file, and can write one of its own."""
    try:
        with open(answer, "w"):
            pass
        return os.path.exists(seen)
    except OSError:
        return False


if __name__ == "__main__":
    node = os.environ.get("SLURMD_NODENAME") or platform.node()
    found = {"node": node, "clock": time.time(), "folder": visible(sys.argv[1], sys.argv[2])}
    found |= {"photographs": os.path.isdir(sys.argv[3]), "versions": versions(), "gpus": gpus()}
    print(json.dumps(found))

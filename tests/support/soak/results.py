"""What a run leaves, as digests that know contents and no times: two runs that ended alike have the same."""

import contextlib
import hashlib
from pathlib import Path

from hawp_core.data.label_file import LabelFile
from hawp_core.model.checkpoint import load_checkpoint
from hawp_core.training.metrics import ValidationRow, read_metrics


def digests(place: Path) -> dict[str, str]:
    """Path -> digest, of everything that a run is made for.

    Shards of labels are the way to the labels, not a result, and the resized photographs are a cache.
    """
    found = {}
    with contextlib.chdir(place):
        for path in sorted(Path().glob("*-ssl/**/*")):
            if path.is_file() and not path.parent.name.endswith("-shards") and path.parent.name != "cache":
                content = _content(path)
                if content is not None:
                    found[str(path)] = hashlib.sha256(content).hexdigest()
        # The figures tell times, and are drawn anew by whoever changes them: that they are there.
        found |= {str(path): "there" for path in sorted(Path().glob("reports/*/*/*"))}
    return found


def _content(path: Path) -> bytes | None:
    """What counts of a file; None where it is no result."""
    if path.match("model-*.pth"):
        network, info = load_checkpoint(path)
        weights = b"".join(name.encode() + value.numpy().tobytes() for name, value in network.state_dict().items())
        return weights + repr(sorted(vars(info).items())).encode()
    if path.suffix == ".h5":
        file = LabelFile(path)
        rows = [file[name] for name in file.names]
        arrays = [a for row in rows for a in (row.junctions, row.edges, row.scores)]
        images = file.images().tobytes() if file.has_images else b""
        return repr(list(file.names)).encode() + b"".join(a.tobytes() for a in arrays) + images
    if path.name == "metrics.jsonl":
        # The means of losses are over the steps since a line or a resumption: validations are what is the same.
        return repr([row for row in read_metrics(path) if isinstance(row, ValidationRow)]).encode()
    if path.name.endswith("lineage.json"):
        return b"there"  # it tells times; `hawp verify` holds it against the files
    if path.suffix == ".yaml" or path.match("evaluation-*.json"):
        return path.read_bytes()
    return None


def differences(expected: dict[str, str], found: dict[str, str], more: bool) -> list[str]:
    """What is missing or different, and what is too much unless `more` may be there."""
    if "failed" in found:
        return [found["failed"]]
    gone = [f"{path} is missing" for path in expected if path not in found]
    other = [f"{path} differs" for path in expected if path in found and found[path] != expected[path]]
    extra = [] if more else [f"{path} is too much" for path in found if path not in expected]
    return gone + other + extra

"""Detection in onnxruntime beside PyTorch: `python benchmarks/exported.py`.

The shipped weights, read by heatmap and by votes, on scikit-image's ten photographs; one thread, CPU seconds, in turns, medians.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from hawp_core.data.photographs.decoding import read_gray
from hawp_core.data.photographs.folder import BUNDLED, bundled_folder
from hawp_core.geometry.resize import to_square
from hawp_core.model.checkpoint import load_checkpoint
from hawp_core.model.detection import detect
from hawp_core.model.folding import fold_batch_norm
from hawp_core.model.onnx import IMAGE, agreement, export_lines
from hawp_core.model.shipped import SHIPPED

THRESHOLD = 0.5


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call: other programs on the machine change them little."""
    began = time.process_time()
    work()
    return time.process_time() - began


def row(votes: int, size: int, rounds: int) -> str:
    """One line of the table."""
    network, _ = load_checkpoint(SHIPPED)
    network.architecture = dataclasses.replace(network.architecture, votes=votes)
    pictures = [to_square(read_gray(bundled_folder() / name)[0], size) for name in BUNDLED]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.onnx"
        export = cpu_seconds(lambda: export_lines(network, path, {}, size=(size, size), min_score=THRESHOLD))
        found = agreement(network, path, pictures, THRESHOLD)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        megabytes = path.stat().st_size / 1e6
    folded = fold_batch_norm(network)

    def in_torch(picture: np.ndarray) -> None:
        detect(folded, torch.from_numpy(picture)[None, None].float() / 255, min_score=THRESHOLD)

    for picture in pictures[:2]:
        in_torch(picture)
        session.run(None, {IMAGE: picture})
    turns = [
        (cpu_seconds(lambda p=p: session.run(None, {IMAGE: p})), cpu_seconds(lambda p=p: in_torch(p)))
        for _ in range(rounds)
        for p in pictures
    ]
    exported, own = (statistics.median(each) for each in zip(*turns, strict=True))
    recipe = f"votes ({votes})" if votes else "heatmap"
    return (
        f"| {recipe} | {found.common} of {found.lines} | {found.left_out} | {exported:.2f} s | {own:.2f} s "
        f"| {export:.0f} s | {megabytes:.1f} MB |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="side of the image, pixels [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="times that each photograph is run [%(default)s]")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| recipe | lines in common | left out | onnxruntime | PyTorch | export | file |\n" + "| --- " * 7 + "|")
    for votes in (0, 3):
        print(row(votes, args.size, args.rounds), flush=True)


if __name__ == "__main__":
    main()

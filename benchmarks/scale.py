"""How planning grows with the number of photographs: python benchmarks/scale.py [COUNT ...]

For each count a list of photographs is made up (names and digests only), written, read and planned for three rounds, and
the label file of one export is written and read. Prints seconds, peak memory and bytes.
"""

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hawp_core.commands.common import positive

LINES_PER_PHOTOGRAPH = 100
SHARD = 10_000


def clock(work) -> tuple[float, object]:
    """Seconds that `work` takes, and its result."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def measure(count: int) -> None:
    """Print one row."""
    from hawp_core.data.photographs.listed import ListedPhotograph
    from hawp_core.data.photographs.manifest import Manifest
    from hawp_core.workflow import chain as lineage
    from hawp_core.workflow import settings
    from hawp_core.workflow.places import PhotographPlaces
    from hawp_core.workflow.sharding import shard_count

    def name(i: int) -> str:
        return f"{i // 1000:05d}/{i:08d}.jpg"

    entries = [
        ListedPhotograph(name(i), hashlib.sha256(i.to_bytes(8, "big")).hexdigest(), 100_000, i) for i in range(count)
    ]
    manifest = Manifest("photos", entries)
    path = Path("manifest.jsonl")
    write, _ = clock(lambda: manifest.write(path))
    read, again = clock(lambda: Manifest.read(path))
    chosen = settings.complete({})
    places = PhotographPlaces("photos", path, count, shard_count(count, SHARD))
    plan, chain = clock(lambda: lineage.plan(chosen, again.key, places, 3))
    jobs = sum(2 + places.shards + 1 for _ in chain.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    labels = count * LINES_PER_PHOTOGRAPH * (2 * 8 * 0.6 + 8 + 4) / 1e9
    print(
        f"{count:>11,} | {write:8.2f} | {read:8.2f} | {plan:8.4f} | {peak:8.2f} | {path.stat().st_size / 1e6:9.1f} "
        f"| {jobs:>6} | {labels:8.2f}", flush=True,
    )  # fmt: skip


def main() -> None:
    """Measure each count in a process of its own, so that peaks do not add up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "counts", type=positive(int), nargs="*", default=[20_000, 1_000_000, 10_000_000], metavar="COUNT"
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        with tempfile.TemporaryDirectory() as place:
            os.chdir(place)
            measure(args.counts[0])
        return
    print("photographs | write, s |  read, s |  plan, s | peak, GB | list, MB  |   jobs | labels, GB (computed)")
    for count in args.counts:
        subprocess.run([sys.executable, __file__, "--one", str(count)], check=True)


if __name__ == "__main__":
    main()

"""How a run grows with the number of photographs: python benchmarks/scale.py [COUNT ...] [--folder FOLDER]

For each count a folder is made that really has so many photographs (names of a few small files; above --walked they are made up, and
the walk through the folder is no part of the figures), with the digests that a first planning would leave. Then three rounds are
planned, one job reads its part of the list, and labels of all photographs are gathered and opened. Each step runs in a process of its own;
its seconds (of the clock, and of the processor) and its peak memory are printed. Ten million take 9 GB on the disk meanwhile.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tabulate import tabulate

from hawp_core.commands.argument_types import positive
from hawp_core.data.photographs.found import FoundPhotographs

LINES, SHARD, IN_FOLDER, LINKS = 10, 10_000, 1_000, 50_000  # ext4 gives a file 65,000 names
LONG_AGO = 10**9  # s: files that no cache takes for new


def name(i: int) -> str:
    """Of the i-th photograph, in order."""
    return f"{i // IN_FOLDER:05d}/{i:08d}.jpg"


def made_up(count: int) -> FoundPhotographs:
    """What a walk through a folder would find."""
    found = FoundPhotographs()
    for start in range(0, count, IN_FOLDER):
        rows = range(start, min(start + IN_FOLDER, count))
        found.add(f"{start // IN_FOLDER:05d}", [(f"{i:08d}.jpg", 1, LONG_AGO * 10**9) for i in rows])
    return found


def make_up(count: int) -> None:
    """What is known of files that are not there."""
    from hawp_core.data.photographs.listed import ListedPhotograph, packed
    from hawp_core.data.photographs.manifest import Manifest
    from hawp_core.workflow.paths import FINGERPRINT_CACHE

    os.mkdir("photos")
    rows = (
        ListedPhotograph(name(i), hashlib.sha256(i.to_bytes(8)).hexdigest(), 1, LONG_AGO * 10**9) for i in range(count)
    )
    cache = Manifest(os.path.realpath("photos"), packed(rows), found=made_up(count).digest)
    cache.write(FINGERPRINT_CACHE)


def make(count: int) -> None:
    """The folder, and what is known of its files."""
    from hawp_core.data.photographs.listed import ListedPhotograph, packed
    from hawp_core.data.photographs.manifest import Manifest
    from hawp_core.workflow.paths import FINGERPRINT_CACHE

    def rows() -> Iterator[ListedPhotograph]:
        for i in range(count):
            source = Path(f"source-{i // LINKS}")
            if i % LINKS == 0:
                source.write_text(str(i))
                os.utime(source, (LONG_AGO, LONG_AGO))
                size, digest = source.stat().st_size, hashlib.sha256(source.read_bytes()).hexdigest()
            if i % IN_FOLDER == 0:
                os.makedirs(f"photos/{i // IN_FOLDER:05d}")
            os.link(source, f"photos/{name(i)}")
            yield ListedPhotograph(name(i), digest, size, LONG_AGO * 10**9)

    Manifest(os.path.realpath("photos"), packed(rows())).write(FINGERPRINT_CACHE)


def plan(count: int) -> None:
    """What the driver does before the first job."""
    from hawp_core.data.photographs import fingerprint
    from hawp_core.workflow.planning import plan_run
    from hawp_core.workflow.settings import complete

    if not os.listdir("photos"):
        fingerprint.survey = lambda _: (made_up(count), [])
    settings = complete({"photographs": {"folder": "photos"}, "compute": {"shard_size": SHARD}})
    places = plan_run(settings, 3, write=True).rounds[0].export.places
    assert places.photographs == count and places.shards == -(-count // SHARD)


def listing() -> Path:
    """The list that the driver wrote."""
    return next(Path("recipes").glob("photographs-*.jsonl"))


def job(count: int) -> None:
    """What an export job reads of the list."""
    from hawp_core.data.photographs.manifest import Manifest
    from hawp_core.workflow.sharding import shard_range

    manifest, shards = Manifest.read(listing()), -(-count // SHARD)
    for i in shard_range(count, shards // 2, shards):
        assert manifest.entries[i].name == name(i)


def shard(count: int) -> None:
    """A shard's labels, made up, as often as there are shards."""
    import numpy as np

    from hawp_core.data.label_writing import write_labels
    from hawp_core.geometry.wireframe import Wireframe
    from hawp_core.workflow.sharding import shard_count, shard_range

    rng, of = np.random.default_rng(0), shard_count(count, SHARD)
    some = [Wireframe.from_lines(rng.uniform(0, 99, (LINES, 4)), 100, 100) for _ in range(100)]
    for i in range(of):
        photographs = shard_range(count, i, of)
        labels = [some[row % len(some)] for row in photographs]
        write_labels(f"shards/{i:05d}.h5", [*map(name, photographs)], labels, about={"export": "k", "rejected": []})


def gather(count: int) -> None:
    """What joins the shards."""
    from hawp_core.data.photographs.manifest import Manifest
    from hawp_core.labelling.gathering import gather_shards

    parts = sorted(Path("shards").iterdir())
    found, _ = gather_shards(parts, Path("all.h5"), Manifest.read(listing()), key="k", max_rejected=0, about={})
    assert found.images == count


def labels(count: int) -> None:
    """What a training does with the labels before its first step, and a thousand images."""
    import numpy as np

    from hawp_core.data.label_file import LabelFile

    found = LabelFile("all.h5")
    for row in np.random.default_rng(0).integers(0, count, 1000):
        assert len(found[int(row)].edges)


STEPS: dict[str, tuple[str, Callable[[int], None]]] = {
    "make": ("(make the folder)", make),
    "make up": ("(make its files up)", make_up),
    "plan": ("plan 3 rounds, the first time", plan),
    "again": ("plan 3 rounds again", plan),
    "job": (f"a job's part of the list, {SHARD:,}", job),
    "shards": ("(make up labels)", shard),
    "gather": (f"gather {LINES} lines each", gather),
    "labels": ("open the labels, read 1,000", labels),
}


def measure(step: str, count: int) -> None:
    """Carry out a step here, and print what it took."""
    # What is read before is no part of any step.
    import hawp_core.workflow.planning  # noqa: F401

    began, busy = time.perf_counter(), time.process_time()
    STEPS[step][1](count)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    print(json.dumps([seconds, busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6]))


def main() -> None:
    """Measure each step of each count in a process of its own, so that peaks do not add up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "counts", type=positive(int), nargs="*", default=[20_000, 1_000_000, 10_000_000], metavar="COUNT",
        help="photographs [20000 1000000 10000000]",
    )  # fmt: skip
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="where the files lie meanwhile [temporary files]")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP", help="[all]")
    parser.add_argument(
        "--walked",
        type=int,
        default=1_000_000,
        metavar="N",
        help="more photographs than this are made up [%(default)s]",
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        measure(args.steps[0], args.counts[0])
        return
    rows = []
    for count in args.counts:
        place = tempfile.mkdtemp(dir=args.folder)
        try:
            for step in args.steps:
                if step == ("make up" if count <= args.walked else "make"):
                    continue
                words = [sys.executable, os.path.abspath(__file__), str(count), "--one", "--steps", step]
                done = subprocess.run(words, check=True, cwd=place, stdout=subprocess.PIPE)
                seconds, busy, peak = json.loads(done.stdout)
                rows.append([f"{count:,}", STEPS[step][0], f"{seconds:.1f}", f"{busy:.1f}", f"{peak:.2f}"])
                print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
            for path in (*Path(place, "recipes").glob("*.jsonl"), *Path(place).glob("all.h5")):
                rows.append([f"{count:,}", f"{path.suffix} file: {path.stat().st_size / 1e6:,.1f} MB", "", "", ""])
        finally:
            shutil.rmtree(place)
    heads = ["photographs", "step", "seconds", "processor, s", "peak memory, GB"]
    print(tabulate(rows, heads, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()

"""Which photographs there are, what they contain, and how one is read; every file here is made by the test."""

import hashlib
import io
import json
import os
import pickle
import random
import shutil
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from hawp_core.data.photographs import fingerprint as fingerprints
from hawp_core.data.photographs import listed
from hawp_core.data.photographs.decoding import LARGEST_PIXELS, SMALLEST_SIDE, Unreadable, read_gray
from hawp_core.data.photographs.fingerprint import check_unchanged, fingerprint
from hawp_core.data.photographs.folder import BUNDLED, EXTENSIONS, Rejected, bundled_folder, resolve, scan, survey
from hawp_core.data.photographs.found import FoundPhotographs, PhotographFile
from hawp_core.data.photographs.listed import ROWS, ListedPhotograph
from hawp_core.data.photographs.manifest import Manifest
from hawp_core.data.photographs.sums import KnownSums
from hawp_core.errors import UserError
from hawp_core.runtime.files import sha256

WIDTH, HEIGHT = 48, 32
LONG_AGO_NS = 10**18  # a time that no file system will mistake for now

WEIRD_NAMES = (
    "with space.jpg",
    "'quote\".png",
    "new\nline.png",
    "-rf.png",
    "$(touch owned).png",
    "`id`;&|.png",
    "éß漢字🙂.png",
    "back\\slash.png",
    "a..b.png",
    "tab\there.png",
    "%s{0}.png",
)


def scene() -> np.ndarray:
    """(HEIGHT, WIDTH, 3) uint8: smooth colours, no symmetry, so that every turn looks different."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 5, y * 7, 120 + x - y], axis=-1).astype(np.uint8)


def luma(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)


def save(path: Path, array: np.ndarray | Image.Image, **options) -> Path:
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(path, **options)
    return path


def assert_close(found: np.ndarray, wanted: np.ndarray, levels: float) -> None:
    assert found.dtype == np.uint8
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted.astype(int)).max() <= levels


def make_folder(folder: Path, *names: str) -> Path:
    """A file a name, with its name as its content and an old time: fingerprints do not decode."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return folder


def names_of(folder: Path) -> list[str]:
    return [photograph.name for photograph in scan(folder)]


# Which photographs there are


def test_bundled_photographs_are_installed_and_readable():
    found = scan("bundled")
    assert tuple(p.name for p in found) == BUNDLED
    for name in BUNDLED:
        gray, (width, height) = read_gray(bundled_folder() / name)
        assert gray.shape == (height, width)
        assert gray.std() > 10


def test_scan_names_every_kind_in_order_of_names(tmp_path):
    wanted = sorted([f"sub/b.{e}" for e in EXTENSIONS] + [f"A.{e.upper()}" for e in EXTENSIONS] + ["sub.d/z/1.png"])
    make_folder(tmp_path, *wanted, "notes.txt", "sub/png", ".hidden.png", ".git/x.png", "sub/._b.jpg")
    assert names_of(tmp_path) == wanted
    first = scan(tmp_path)[0]
    assert (first.size, first.mtime_ns) == (len(first.name), LONG_AGO_NS)


def test_scan_accepts_any_name(tmp_path):
    make_folder(tmp_path / "folder $(x)\n", *WEIRD_NAMES)
    assert names_of(tmp_path / "folder $(x)\n") == sorted(WEIRD_NAMES)


def test_names_that_are_not_utf8_are_rejected_with_a_reason(tmp_path):
    make_folder(tmp_path, "good.png")
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    photos, rejected = survey(tmp_path)
    assert [p.name for p in photos] == ["good.png"]
    assert rejected == [("caf\\udce9.jpg", "its name is not valid UTF-8")]
    assert fingerprint(tmp_path).rejected == rejected


def test_links_are_followed_once_and_loops_end(tmp_path):
    outside = make_folder(tmp_path / "outside", "far.png", "sub/deep.png")
    folder = make_folder(tmp_path / "photos", "near.png", "real/a.png")
    make_folder(tmp_path, "above.png")
    (folder / "file.png").symlink_to(outside / "far.png")
    (folder / "linked").symlink_to(outside)
    (folder / "linked-again").symlink_to(outside)
    (folder / "alias-of-real").symlink_to(folder / "real")
    (folder / "real" / "loop").symlink_to(folder / "real")
    (folder / "up").symlink_to(tmp_path)
    (folder / "self.png").symlink_to("self.png")
    (folder / "gone.png").symlink_to("nowhere")
    photos, rejected = survey(folder)
    assert [p.name for p in photos] == ["file.png", "linked/far.png", "linked/sub/deep.png", "near.png", "real/a.png"]
    assert [r.name for r in rejected] == ["gone.png", "self.png"]
    assert all(r.reason.startswith("it cannot be reached: ") for r in rejected)


def test_a_pipe_is_rejected_and_does_not_wait_for_a_writer(tmp_path):
    os.mkfifo(make_folder(tmp_path, "a.png") / "pipe.jpg")
    assert survey(tmp_path)[1] == [("pipe.jpg", "it is not a regular file")]
    with pytest.raises(Unreadable, match="not a regular file"):
        read_gray(tmp_path / "pipe.jpg")


def test_folders_without_photographs_are_refused(tmp_path):
    file = tmp_path / "file.txt"
    file.write_text("x")
    broken, empty = tmp_path / "broken", tmp_path / "empty"
    broken.mkdir()
    empty.mkdir()
    (broken / "gone.png").symlink_to("nowhere")
    for folder, part in [
        (empty, "holds no usable photograph: files ending in jpg, jpeg, png, tif, tiff, webp, bmp"),
        (
            tmp_path / "none",
            "does not exist or cannot be reached: give a folder of photographs in photographs.folder or --images (jpg,",
        ),
        (file, "is a file, not a folder: give a folder"),
        (broken, "(gone.png, for one, it cannot be reached: No such file or directory)"),
    ]:
        with pytest.raises(UserError) as caught:
            scan(folder)
        assert part in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "/etc/x.png", "", "..", "nul\0.png"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="is no path inside"):
        resolve(tmp_path, name)


@pytest.mark.parametrize("name", WEIRD_NAMES)
def test_weird_names_resolve_inside_the_folder(tmp_path, name):
    assert resolve(tmp_path, name).parent == tmp_path
    assert resolve("bundled", name).parent == bundled_folder()


# What they contain


def test_key_knows_names_and_contents_only(tmp_path):
    one = make_folder(tmp_path / "one", "a.png", "b/c.png")
    two = make_folder(tmp_path / "two", "b/c.png", "a.png", "ignored.txt")
    os.utime(two / "a.png")
    key = fingerprint(one).key
    assert fingerprint(two).key == key
    (two / "a.png").rename(two / "z.png")
    assert fingerprint(two).key != key
    (one / "a.png").write_text("A.png")
    assert fingerprint(one).key != key


def test_key_does_not_run_names_together(tmp_path):
    keys = {
        Manifest("x", [ListedPhotograph(name, digest, 1, 1) for name, digest in rows]).key
        for rows in ([("a", "b"), ("c", "d")], [("a", 'b"]\n["c'), ("d", "")], [("ab", ""), ("c", "d")], [("a", "b")])
    }
    assert len(keys) == 4


def test_key_does_not_depend_on_the_order_of_entries():
    rows = [ListedPhotograph("a", "1", 1, 1), ListedPhotograph("b", "0", 1, 1)]
    assert Manifest("x", rows).key == Manifest("x", rows[::-1]).key


def test_cache_spares_reading_until_size_or_time_changes(tmp_path):
    folder, cache = make_folder(tmp_path / "photos", "a.png", "b.png"), tmp_path / "cache" / "photos.jsonl"
    before = fingerprint(folder, cache)
    # The same size and time with other bytes: only a reader would notice, so an equal key shows that none read.
    (folder / "a.png").write_text("A.png")
    os.utime(folder / "a.png", ns=(LONG_AGO_NS, LONG_AGO_NS))
    assert fingerprint(folder, cache).key == before.key
    os.utime(folder / "a.png", ns=(LONG_AGO_NS, LONG_AGO_NS + 1))
    touched = fingerprint(folder, cache)
    assert touched.key != before.key
    os.utime(folder / "b.png", ns=(LONG_AGO_NS, LONG_AGO_NS + 2))
    assert fingerprint(folder, cache).key == touched.key
    (folder / "b.png").unlink()
    assert len(fingerprint(folder, cache).entries) == 1


def test_cache_does_not_trust_a_file_that_may_still_change(tmp_path):
    folder, cache = make_folder(tmp_path / "photos", "a.png"), tmp_path / "cache"
    os.utime(folder / "a.png")
    now = (folder / "a.png").stat().st_mtime_ns
    key = fingerprint(folder, cache).key
    (folder / "a.png").write_text("A.png")
    os.utime(folder / "a.png", ns=(now, now))
    assert fingerprint(folder, cache).key != key


def test_cache_of_another_folder_is_not_used(tmp_path):
    cache = tmp_path / "cache"
    one = make_folder(tmp_path / "one", "a.png")
    two = make_folder(tmp_path / "two", "a.png")
    (two / "a.png").write_text("A.png")
    os.utime(two / "a.png", ns=(LONG_AGO_NS, LONG_AGO_NS))
    assert fingerprint(one, cache).key != fingerprint(two, cache).key


def test_damaged_cache_is_made_anew(tmp_path):
    folder, cache = make_folder(tmp_path / "photos", "a.png"), tmp_path / "cache"
    manifest = fingerprint(folder, cache)
    good = cache.read_bytes()
    digest = manifest.entries[0].sha256.encode()
    assert digest in good
    for damage in (b"", b"\xff\xfe", good[: len(good) // 2], good.replace(digest, digest[::-1])):
        cache.write_bytes(damage)
        assert fingerprint(folder, cache) == manifest
        assert cache.read_bytes() == good


def test_hashing_that_stops_keeps_what_it_did(tmp_path, monkeypatch):
    folder, cache = make_folder(tmp_path / "photos", "a.png", "b.png", "c.png"), tmp_path / "cache"
    monkeypatch.setattr(fingerprints, "HASH_BATCH", 1)
    real = sha256

    def failing(path):
        if path.name == "c.png":
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(fingerprints, "sha256", failing)
    with pytest.raises(UserError, match=r"c\.png could not be read \(Input/output error\)"):
        fingerprint(folder, cache)
    assert [e.name for e in Manifest.read(cache).entries] == ["a.png", "b.png"]


def test_file_that_changes_while_it_is_hashed_is_an_error(tmp_path, monkeypatch):
    folder = make_folder(tmp_path, "a.png")
    real = sha256

    def growing(path):
        digest = real(path)
        path.write_text("longer than before")
        return digest

    monkeypatch.setattr(fingerprints, "sha256", growing)
    with pytest.raises(UserError, match="changed while it was read"):
        fingerprint(folder)


def test_files_that_may_not_be_opened_are_rejected(tmp_path, monkeypatch):
    folder = make_folder(tmp_path, "a.png", "secret.png")
    real = sha256

    def guarded(path):
        if path.name == "secret.png":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(fingerprints, "sha256", guarded)
    manifest = fingerprint(folder)
    assert [e.name for e in manifest.entries] == ["a.png"]
    assert manifest.rejected == [("secret.png", "it cannot be opened: Permission denied")]
    (folder / "a.png").unlink()
    with pytest.raises(UserError, match="no photograph that may be opened"):
        fingerprint(folder)


def test_manifest_survives_writing_and_reading(tmp_path):
    folder = make_folder(tmp_path / "photos", *WEIRD_NAMES)
    (folder / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    manifest = fingerprint(folder)
    manifest.write(tmp_path / "m.jsonl")
    found = Manifest.read(tmp_path / "m.jsonl")
    assert found == manifest
    assert found.key == manifest.key
    assert len((tmp_path / "m.jsonl").read_text().splitlines()) == 1 + len(WEIRD_NAMES) + 1


def test_damaged_manifests_are_refused_with_one_sentence(tmp_path):
    path = tmp_path / "m.jsonl"
    fingerprint(make_folder(tmp_path / "photos", "a.png", "b.png")).write(path)
    good = path.read_bytes()
    header, *rows = good.splitlines()
    other = dict(json.loads(header), format="hawp-rounds photographs 99")
    cases = {
        "empty": b"",
        "cut": good[:-40],
        "last line lost": b"\n".join([header, *rows[:-1]]) + b"\n",
        "flipped": good[:-30] + bytes([good[-30] ^ 1]) + good[-29:],
        "other time": good.replace(str(LONG_AGO_NS).encode(), str(LONG_AGO_NS + 1).encode()),
        "other key": good.replace(json.loads(header)["key"].encode(), b"0" * 64),
        "other folder": good.replace(b"/photos", b"/others"),
        "an earlier format": good.replace(b"photographs 3", b"photographs 1"),
        "longer": good + b"[]\n",
        "binary": bytes(range(256)),
        "nested": b"[" * 100_000,
        "not an object": b"[1]\n",
        "other version": json.dumps(other).encode() + b"\n" + b"\n".join(rows),
    }
    for name, content in cases.items():
        assert content != good
        path.write_bytes(content)
        with pytest.raises(UserError, match="is no readable list of photographs") as caught:
            Manifest.read(path).check()
        assert "\n" not in str(caught.value), name
    assert "photographs 99" in str(caught.value)
    with pytest.raises(UserError, match="No such file"):
        Manifest.read(tmp_path / "none")


def test_lists_of_the_earlier_formats_are_read(tmp_path):
    path = tmp_path / "m.jsonl"
    manifest = fingerprint(make_folder(tmp_path / "photos", "a.png", "b.png"))
    manifest.write(path)
    header, *rows = path.read_text().splitlines()
    whole = {name: json.loads(header)[name] for name in ("folder", "key", "photographs", "columns")}
    for number in (1, 2):
        earlier = whole | {"format": f"hawp-rounds photographs {number}"}
        covered = rows if number == 1 else [json.dumps(earlier, sort_keys=True), *rows]
        earlier["sum"] = hashlib.sha256("\n".join(covered).encode()).hexdigest()
        path.write_text("\n".join([json.dumps(earlier), *rows]) + "\n")
        assert Manifest.read(path) == manifest
        path.write_text(path.read_text().replace(str(LONG_AGO_NS), str(LONG_AGO_NS + 1)))
        with pytest.raises(UserError, match="it changed since it was written"):
            Manifest.read(path)


@pytest.mark.parametrize("row", [["a.png", 5, 1, 1], [5, "0", 1, 1], ["a.png", "0", "1", 1], ["a.png", "0", True, 1]])
def test_a_list_whose_values_have_other_types_is_refused(tmp_path, monkeypatch, row):
    monkeypatch.setattr(listed, "_encoded_photographs", listed.encoded)  # which is for any values
    Manifest("photos", [ListedPhotograph(*row)]).write(tmp_path / "m.jsonl")
    with pytest.raises(UserError, match="its lines are not names, each once"):
        Manifest.read(tmp_path / "m.jsonl").check()


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.text(), st.text(), st.integers(0), st.integers())))
def test_rows_are_json_whatever_the_names(rows):
    assert listed._encoded_photographs([ListedPhotograph(*row) for row in rows]) == listed.encoded(rows)


def test_a_list_with_a_photograph_twice_is_refused(tmp_path):
    Manifest("photos", [ListedPhotograph("a.png", "0", 1, 1)] * 2).write(tmp_path / "m.jsonl")
    with pytest.raises(UserError, match="its lines are not names, each once"):
        Manifest.read(tmp_path / "m.jsonl").check()


@pytest.fixture
def long_list(tmp_path) -> Path:
    """A list of some blocks."""
    rows = [ListedPhotograph(f"{i:05d}.jpg", f"{i:064x}", i, i) for i in range(2 * ROWS + 5)]
    Manifest("photos", rows, [Rejected("z.jpg", "no")] * 3).write(tmp_path / "long.jsonl")
    return tmp_path / "long.jsonl"


def test_a_job_reads_its_own_part_of_a_long_list(long_list):
    found = Manifest.read(long_list)
    assert len(found.entries) == 2 * ROWS + 5 and found.entries[ROWS].name == f"{ROWS:05d}.jpg"
    # What lies elsewhere may be damaged: who does not need it does not read it, and who goes through all notices.
    content = long_list.read_bytes()
    long_list.write_bytes(content.replace(b'"00007.jpg"', b'"0000x.jpg"'))
    part = Manifest.read(long_list)
    assert part.entries[ROWS : 2 * ROWS + 5] == found.entries[ROWS:] and part.rejected == found.rejected
    for read in (lambda: part.entries[8], part.check, lambda: part.write("other.jsonl")):
        with pytest.raises(UserError, match=r"long\.jsonl is no readable list .*it changed since it was written"):
            read()
    assert not Path("other.jsonl").exists()


def test_blocks_that_fit_their_digests_and_not_the_key_are_noticed(long_list):
    header, *lines = long_list.read_text().splitlines(keepends=True)
    head = json.loads(header)
    for what, key in [("order", head["key"]), ("key", "0" * 64)]:
        blocks, sums = ["".join(lines[:ROWS]), "".join(lines[ROWS : 2 * ROWS])], list(head["blocks"])
        if what == "order":
            blocks, sums[:2] = blocks[::-1], sums[1::-1]
        forged = {name: value for name, value in head.items() if name != "sum"} | {"key": key, "blocks": sums}
        forged["sum"] = hashlib.sha256(json.dumps(forged, sort_keys=True).encode()).hexdigest()
        long_list.write_text("".join([json.dumps(forged), "\n", *blocks, *lines[2 * ROWS :]]))
        assert len(Manifest.read(long_list).entries) == len(lines) - 3
        with pytest.raises(UserError, match=what):
            Manifest.read(long_list).check()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.sampled_from(["a", "a.b", "ab", "a b", "b", "é"]), min_size=1, max_size=4), max_size=12))
def test_photographs_come_in_the_order_of_their_names(paths):
    found, wanted = (
        FoundPhotographs(),
        sorted(
            {"/".join([*path, "x.jpg"]) for path in paths}
            | {"/".join([*path[:-1], f"{path[-1]}.jpg"]) for path in paths}
        ),
    )
    for part in {name.rpartition("/")[0] for name in wanted}:
        inner = [name for name in wanted if name.rpartition("/")[0] == part]
        found.add(part, [PhotographFile(name.rpartition("/")[2], len(name), -5) for name in reversed(inner)])
    assert list(found) == [PhotographFile(name, len(name), -5) for name in wanted]
    assert len(found) == len(wanted) and found.bytes == sum(map(len, wanted))


def test_a_long_hashing_is_remembered_on_the_way(tmp_path, monkeypatch):
    folder, cache = make_folder(tmp_path / "photos", *"abcdefgh"), tmp_path / "cache"
    for path in folder.iterdir():
        path.rename(path.with_suffix(".png"))
    fingerprint(folder, cache)
    # All but the last are read again; after each the cache knows it, and what the earlier time knew of the others.
    for path in sorted(folder.iterdir())[:-1]:
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS + 1))
    monkeypatch.setattr(fingerprints, "HASH_BATCH", 1)
    monkeypatch.setattr(fingerprints, "SAVE_SECONDS", -1)
    monkeypatch.setattr(fingerprints, "SAVE_SHARE", 0)
    monkeypatch.setattr(
        fingerprints, "_hashed", lambda f, p, real=fingerprints._hashed: kept.append(times()) or real(f, p)
    )
    kept = []

    def times() -> list[int]:
        return [entry.mtime_ns - LONG_AGO_NS for entry in Manifest.read(cache).entries]

    fingerprint(folder, cache)
    assert kept == [[1] * n + [0] * (8 - n) for n in range(7)]


def test_a_folder_that_is_as_it_was_is_not_gone_through_row_by_row(tmp_path, monkeypatch):
    folder, cache = make_folder(tmp_path / "photos", "a.png", "b/c.png"), tmp_path / "cache"
    first = fingerprint(folder, cache)
    with monkeypatch.context() as patch:
        patch.setattr(fingerprints, "_Fingerprinting", None)
        assert fingerprint(folder, cache) == first and fingerprint(folder, cache).key == first.key
    # Fewer photographs, another size, and back: each time the cache learns what there is.
    for change in (lambda: (folder / "b/c.png").unlink(), lambda: make_folder(folder, "b/c.png")):
        change()
        found = fingerprint(folder, cache)
        assert found == fingerprint(folder)
        with monkeypatch.context() as patch:
            patch.setattr(fingerprints, "_Fingerprinting", None)
            assert fingerprint(folder, cache) == found
    # A file that is about to change is looked at again.
    os.utime(folder / "a.png")
    fingerprint(folder, cache)
    assert Manifest.read(cache).found is None and len(Manifest.read(cache).entries) == 1
    assert found.key == first.key


def sums_of(folder: Path, *options: str) -> str:
    """What sha256sum says of a folder's photographs."""
    return subprocess.run(
        ["sha256sum", *options, "--", *names_of(folder)], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="GNU coreutils are not here")
@pytest.mark.parametrize("options", [(), ("--binary",), ("--tag",)], ids=["text", "binary", "tag"])
def test_sums_that_were_made_elsewhere_spare_reading(tmp_path, monkeypatch, options):
    folder = make_folder(tmp_path / "photos", *WEIRD_NAMES, "a/b.jpg", "newer.jpg", "unknown.jpg")
    os.utime(folder / "newer.jpg", (2 * 10**9 + 1, 2 * 10**9 + 1))
    lines = [line for line in sums_of(folder, *options).splitlines(keepends=True) if "unknown.jpg" not in line]
    read: list[str] = []
    monkeypatch.setattr(fingerprints, "sha256", lambda path: read.append(path.name) or sha256(path))
    for text in ("".join(lines), "".join(reversed(lines)).replace("a/b.jpg", f"{folder}/a/b.jpg")):
        (tmp_path / "sums").write_text(text)
        os.utime(tmp_path / "sums", (2 * 10**9, 2 * 10**9))
        read.clear()
        found = fingerprint(folder, None, str(tmp_path / "sums"))
        assert read == ["newer.jpg", "unknown.jpg"] and found == fingerprint(folder)


def test_a_bags_manifest_is_a_list_of_sums(tmp_path):
    folder = make_folder(tmp_path, "data/50%\nof.jpg", "data/b.jpg")
    lines = [f"{sha256(folder / name)}  {name}" for name in ("data/50%\nof.jpg", "data/b.jpg")]
    said = lines[0].replace("%", "%25").replace("\n", "%0A") + f"\n{lines[1]}\n"
    (folder / "manifest-sha256.txt").write_text(said)
    known = KnownSums(folder / "manifest-sha256.txt", folder)
    assert [known.row(photograph) for photograph in scan(folder)] == list(fingerprint(folder).entries)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"abc  a.jpg\n", "line 1 of .* is no SHA-256 with a name"), (b"0" * 64 + b"  a.jpg\n" + b"0" * 64 + b"  ./a.jpg\n", "comes twice"),
     (b"0" * 64 + b"  \xff.jpg\n", "is no list of SHA-256 sums"), (None, "No such file")],
    ids=["no digest", "twice", "no UTF-8", "none"],
)  # fmt: skip
def test_sums_that_are_none_are_refused_in_a_sentence(tmp_path, content, said):
    folder = make_folder(tmp_path / "photos", "a.jpg")
    if content is not None:
        (tmp_path / "sums").write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        fingerprint(folder, None, str(tmp_path / "sums"))
    assert "\n" not in str(caught.value)


def test_check_unchanged_notices_other_content_only(tmp_path):
    folder = make_folder(tmp_path, "a.png")
    (entry,) = fingerprint(folder).entries
    os.utime(folder / "a.png")
    check_unchanged(folder, entry)
    (folder / "a.png").write_text("A.png")
    with pytest.raises(UserError, match="changed since the run began"):
        check_unchanged(folder, entry)
    (folder / "a.png").write_text("longer than it was")
    with pytest.raises(UserError, match="changed since the run began"):
        check_unchanged(folder, entry)
    (folder / "a.png").unlink()
    with pytest.raises(UserError, match="No such file"):
        check_unchanged(folder, entry)


def test_fingerprints_need_neither_opencv_nor_torch(tmp_path):
    make_folder(tmp_path, "a.png")
    program = (
        "import sys; from hawp_core.data.photographs.fingerprint import fingerprint; fingerprint(sys.argv[1]);"
        "sys.exit(len({'cv2', 'torch', 'skimage'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == 0


# How one is read


@pytest.mark.parametrize(
    ("name", "options", "levels"),
    [
        ("a.png", {}, 1),
        ("a.bmp", {}, 1),
        ("a.tif", {}, 1),
        ("lzw.tiff", {"compression": "tiff_lzw"}, 1),
        ("jpeg.tif", {"compression": "jpeg", "quality": 95}, 12),
        ("a.jpg", {"quality": 98}, 6),
        ("progressive.jpeg", {"quality": 98, "progressive": True}, 6),
        ("subsampled.jpg", {"quality": 90, "subsampling": 2}, 12),
        ("lossy.webp", {"quality": 95}, 12),
        ("lossless.webp", {"lossless": True}, 1),
        ("wrong extension.jpg", {"format": "PNG"}, 1),
    ],
)
def test_colour_files(tmp_path, name, options, levels):
    gray, original = read_gray(save(tmp_path / name, scene(), **options))
    assert original == (WIDTH, HEIGHT)
    assert_close(gray, luma(scene()), levels)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.webp"])
def test_grey_files_are_read_exactly(tmp_path, name):
    options = {"lossless": True} if name.endswith("webp") else {}
    wanted = luma(scene())
    np.testing.assert_array_equal(read_gray(save(tmp_path / name, wanted, **options))[0], wanted)


def test_saturated_colours_have_their_luma(tmp_path):
    """The shortcut of taking a JPEG's own luma channel would miss these by tens of levels."""
    rgb = np.zeros((32, 32, 3), np.uint8)
    rgb[:, 16:] = (0, 0, 255)
    rgb[16:] = (255, 0, 0)
    path = save(tmp_path / "a.jpg", rgb, quality=60)
    assert_close(read_gray(path)[0], luma(np.asarray(Image.open(path))), 1)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_transparent_pixels_are_white_paper(tmp_path, name):
    rgba = np.dstack([scene(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    rgba[:16, :, 3], rgba[16:24, :, 3] = 0, 128
    options = {"lossless": True, "exact": True} if name.endswith("webp") else {}
    gray, _ = read_gray(save(tmp_path / name, rgba, **options))
    wanted = luma(scene()).astype(float)
    wanted[:16] = 255
    wanted[16:24] = wanted[16:24] * 128 / 255 + 127
    assert_close(gray, np.rint(wanted), 1)


def test_grey_with_alpha_and_transparent_palettes(tmp_path):
    wanted = luma(scene())
    alpha = np.full_like(wanted, 255)
    alpha[:8] = 0
    gray, _ = read_gray(save(tmp_path / "la.png", np.dstack([wanted, alpha])))
    assert (gray[:8] == 255).all()
    np.testing.assert_array_equal(gray[8:], wanted[8:])
    palette = Image.fromarray(scene()).quantize(16)
    opaque, _ = read_gray(save(tmp_path / "p.png", palette))
    assert_close(opaque, luma(np.asarray(palette.convert("RGB"))), 1)
    gray, _ = read_gray(save(tmp_path / "t.png", palette, transparency=int(np.asarray(palette)[0, 0])))
    chosen = np.asarray(palette) == np.asarray(palette)[0, 0]
    assert (gray[chosen] == 255).all()
    np.testing.assert_array_equal(gray[~chosen], opaque[~chosen])
    colour = tuple(int(v) for v in scene()[0, 0])
    gray, _ = read_gray(save(tmp_path / "key.png", scene(), transparency=colour))
    assert gray[0, 0] == 255
    assert_close(gray[1:], luma(scene())[1:], 1)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
def test_one_bit(tmp_path, name):
    bits = luma(scene()) > 120
    gray, _ = read_gray(save(tmp_path / name, Image.fromarray(bits)))
    np.testing.assert_array_equal(gray, np.where(bits, 255, 0))


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_are_divided_by_257(tmp_path, order):
    wide = np.linspace(0, 65535, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint16)
    wanted = np.rint(wide / 257)
    tifffile.imwrite(tmp_path / "a.tif", wide, byteorder=order[0])
    np.testing.assert_array_equal(read_gray(tmp_path / "a.tif")[0], wanted)
    cv2.imwrite(str(tmp_path / "a.png"), wide)
    np.testing.assert_array_equal(read_gray(tmp_path / "a.png")[0], wanted)
    tifffile.imwrite(tmp_path / "i.tif", wide.astype(np.int32))
    np.testing.assert_array_equal(read_gray(tmp_path / "i.tif")[0], wanted)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_colour(tmp_path, suffix):
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), scene()[..., ::-1].astype(np.uint16) * 257)
    assert_close(read_gray(tmp_path / f"a.{suffix}")[0], luma(scene()), 1)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_float_tiff(tmp_path, kind):
    unit = (luma(scene()) / 255).astype(kind)
    tifffile.imwrite(tmp_path / "unit.tif", unit)
    assert_close(read_gray(tmp_path / "unit.tif")[0], luma(scene()), 1)
    high = (unit * 90 - 40).astype(kind)
    high[3, 4], high[5, 6] = np.nan, np.inf
    tifffile.imwrite(tmp_path / "wide.tif", high)
    finite = np.isfinite(high)
    low, top = float(high[finite].min()), float(high[finite].max())
    wanted = np.rint((np.where(finite, high, low).astype(float) - low) / (top - low) * 255)
    assert_close(read_gray(tmp_path / "wide.tif")[0], wanted, 1)
    tifffile.imwrite(tmp_path / "flat.tif", np.full((20, 20), 7, kind))
    assert not read_gray(tmp_path / "flat.tif")[0].any()


def test_floats_at_the_end_of_their_range(tmp_path):
    steps = np.array([-1, -0.5, 0, 0.5, 1]) * np.finfo(np.float64).max
    tifffile.imwrite(tmp_path / "a.tif", steps.repeat(80).reshape(20, 20))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        gray, _ = read_gray(tmp_path / "a.tif")
    assert sorted(set(gray.flat)) == [0, 64, 128, 191, 255]
    tifffile.imwrite(tmp_path / "nan.tif", np.full((20, 20), np.nan, np.float64))
    with pytest.raises(Unreadable, match="no pixel is a finite number"):
        read_gray(tmp_path / "nan.tif")


def test_tiff_flavours_that_pillow_does_not_know(tmp_path):
    unit = scene() / 255
    for layout, array in [("contig", unit), ("separate", np.moveaxis(unit, -1, 0))]:
        tifffile.imwrite(tmp_path / "a.tif", array, planarconfig=layout, photometric="rgb", bigtiff=layout == "contig")
        assert_close(read_gray(tmp_path / "a.tif")[0], luma(scene()), 1)
    inverted = 255 - luma(scene())
    for array in (inverted, inverted.astype(np.uint16) * 257, inverted / np.float32(255), inverted / 255):
        tifffile.imwrite(tmp_path / "inverted.tif", array, photometric="miniswhite")
        assert_close(read_gray(tmp_path / "inverted.tif")[0], luma(scene()), 1)
    tifffile.imwrite(tmp_path / "turned.tif", unit, photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    assert_close(read_gray(tmp_path / "turned.tif")[0], np.rot90(luma(scene()), -1), 1)
    bands = np.concatenate([unit[..., :1], unit, unit], axis=-1)
    tifffile.imwrite(tmp_path / "bands.tif", bands, photometric="minisblack", planarconfig="contig")
    assert_close(read_gray(tmp_path / "bands.tif")[0], scene()[..., 0], 1)
    tifffile.imwrite(tmp_path / "inks.tif", np.zeros((20, 20, 4)), photometric="separated")
    with pytest.raises(Unreadable, match="neither grey nor RGB"):
        read_gray(tmp_path / "inks.tif")


@pytest.mark.parametrize("name", ["adobe.jpg", "a.tif"])
def test_cmyk_has_the_luma_of_its_colours(tmp_path, name):
    options = {"quality": 98, "subsampling": 0} if name.endswith("jpg") else {}
    path = save(tmp_path / name, Image.fromarray(scene()).convert("CMYK"), **options)
    assert Image.open(path).mode == "CMYK"
    assert (b"Adobe" in path.read_bytes()) == name.startswith("adobe")
    assert_close(read_gray(path)[0], luma(scene()), 8)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "lzw.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"compression": "tiff_lzw"} if name.startswith("lzw") else {}
    path = save(tmp_path / name, scene(), exif=exif, **options)
    gray, original = read_gray(path)
    wanted = ImageOps.exif_transpose(Image.open(path)).convert("L")
    assert original == wanted.size == ((HEIGHT, WIDTH) if orientation > 4 else (WIDTH, HEIGHT))
    np.testing.assert_array_equal(gray, np.asarray(wanted))


def test_orientation_six_turns_clockwise_and_three_upside_down(tmp_path):
    exif = Image.Exif()
    for orientation, quarters in ((6, -1), (3, 2)):
        exif[0x0112] = orientation
        gray, _ = read_gray(save(tmp_path / "a.jpg", scene(), exif=exif, quality=98))
        assert_close(gray, np.rot90(luma(scene()), quarters), 6)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif",
    [b"no header", b"MM\0*" + b"\xff" * 6, b"MM\0*" + struct.pack(">IHHHI4sI", 8, 1, 0x0112, 2, 4, b"six\0", 0)],
    ids=["no header", "cut short", "orientation in words"],
)
def test_damaged_exif_does_not_spoil_the_photograph(tmp_path, exif):
    path = save(tmp_path / "a.jpg", scene(), exif=b"Exif\0\0" + exif, quality=98)
    assert_close(read_gray(path)[0], luma(scene()), 6)


@pytest.mark.parametrize("name", ["a.tif", "a.webp", "a.png", "a.mpo"])
def test_of_several_frames_the_first_is_read(tmp_path, name):
    frames = [Image.fromarray(np.full((24, 24), value, np.uint8)) for value in (40, 220)]
    options = {} if name.endswith(("tif", "mpo")) else {"duration": 50}
    options |= {"lossless": True} if name.endswith("webp") else {}
    gray, _ = read_gray(save(tmp_path / name, frames[0], save_all=True, append_images=frames[1:], **options))
    assert (gray == 40).all()


@pytest.mark.parametrize(("width", "height"), [(48, 32), (16, 200), (1000, 16), (64, 64), (20, 20), (40_000, 16)])
def test_resizing_keeps_the_pixel_area_convention(tmp_path, width, height):
    """A ramp a * x' + b over the original pixels is the same ramp at x' = (x + 0.5) * W' / W - 0.5."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    ramp = np.rint(20 + 120 * x + 80 * y).astype(np.uint8)
    gray, original = read_gray(save(tmp_path / "a.png", ramp), size=64)
    assert original == (width, height)
    assert gray.shape == (64, 64)
    x, y = np.meshgrid((np.arange(64) + 0.5) / 64, (np.arange(64) + 0.5) / 64)
    inside = slice(3, -3)  # beyond the outermost centres, enlarging repeats the border
    assert_close(gray[inside, inside], np.rint(20 + 120 * x + 80 * y)[inside, inside], 2)


def test_shrinking_averages_areas(tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (64, 128), dtype=np.uint8)
    gray, _ = read_gray(save(tmp_path / "a.png", noise), size=32)
    assert_close(gray, np.rint(noise.reshape(32, 2, 32, 4).mean(axis=(1, 3))), 1)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_read_reduced_and_others_as_ever(tmp_path, orientation):
    y, x = np.mgrid[:410, :530]
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb = np.stack([x * 0.4, y * 0.5, 120 + 40 * np.sin(x / 9)], -1).astype(np.uint8)
    path = save(tmp_path / "a.jpg", rgb, quality=95, exif=exif)
    whole, sides = read_gray(path, size=64)
    reduced, found = read_gray(path, size=64, reduced=True)
    assert found == sides == ((530, 410) if orientation == 1 else (410, 530))
    assert not np.array_equal(reduced, whole)
    assert_close(reduced, whole, levels=3)
    # Not four times as large on both sides.
    assert np.array_equal(read_gray(path, size=104, reduced=True)[0], read_gray(path, size=104)[0])


def test_reading_is_repeatable(tmp_path):
    path = save(tmp_path / "a.jpg", scene())
    np.testing.assert_array_equal(read_gray(path, size=40)[0], read_gray(path, size=40)[0])


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header promises more pixels than its data holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def encoded(suffix: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(scene()).save(stream, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix), **options)
    return stream.getvalue()


def float_tiff() -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, scene() / 255, photometric="rgb")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("empty.jpg", b"", "it is empty"),
        ("text.jpg", b"not a picture at all", "its content is not JPEG"),
        ("vector.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n", "its content is not JPEG"),
        ("header only.jpg", encoded("jpg")[:20], "its content is not JPEG"),
        ("half.jpg", encoded("jpg")[:-200], "it cannot be decoded"),
        ("half progressive.jpg", encoded("jpg", progressive=True)[:-200], "it cannot be decoded"),
        ("half.png", encoded("png")[: len(encoded("png")) // 2], "it cannot be decoded"),
        ("half.webp", encoded("webp")[:-100], "it cannot be decoded"),
        ("half.bmp", encoded("bmp")[:-1000], "it cannot be decoded"),
        ("half.tif", encoded("tif")[:-3000], "it cannot be decoded"),
        ("half float.tif", float_tiff()[:-5000], "it cannot be decoded"),
        ("tiff start.tif", b"II*\0" + b"\xff" * 60, "it cannot be decoded"),
        ("bomb.png", png_claiming(20_000, LARGEST_PIXELS // 20_000 + 1), "more than 300 megapixels"),
        ("great bomb.png", png_claiming(2**30, 2**30), "more than 300 megapixels"),
        ("thin.png", png_claiming(SMALLEST_SIDE - 1, 400), "15 x 400 pixels, and 16 are needed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.filterwarnings("ignore")
def test_bad_files_are_refused_with_one_sentence(tmp_path, name, content, part):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Unreadable) as caught:
        read_gray(path)
    assert part in caught.value.reason
    assert str(caught.value) == f"{path} cannot be used as a photograph ({caught.value.reason}): " + (
        "replace the file or remove it."
    )
    assert "\n" not in str(caught.value)


def test_smallest_and_single_pixel_images(tmp_path):
    with pytest.raises(Unreadable, match="it has 1 x 1 pixels"):
        read_gray(save(tmp_path / "one.png", np.zeros((1, 1), np.uint8)))
    small = save(tmp_path / "small.png", np.full((SMALLEST_SIDE, SMALLEST_SIDE), 9, np.uint8))
    assert (read_gray(small, size=64)[0] == 9).all()


def test_missing_files_folders_and_line_breaks_in_names(tmp_path):
    with pytest.raises(Unreadable, match=r"new\\nline\.png .* \(it cannot be opened: No such file or directory\)"):
        read_gray(tmp_path / "new\nline.png")
    with pytest.raises(Unreadable, match="not a regular file"):
        read_gray(tmp_path)


def test_file_without_permission(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", scene())
    if os.geteuid() != 0:
        path.chmod(0)
    else:  # root may read anything, so the refusal is played

        def refuse(*arguments, **options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(Unreadable, match="it cannot be opened: Permission denied"):
        read_gray(path)


def test_lack_of_memory_is_not_the_photographs_fault(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", scene())

    def exhausted(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(Image, "open", exhausted)
    with pytest.raises(MemoryError):
        read_gray(path)


def test_unreadable_reaches_the_parent_of_a_worker_process(tmp_path):
    error = pickle.loads(pickle.dumps(Unreadable(tmp_path / "a.png", "it is empty")))
    assert (error.path, error.reason) == (tmp_path / "a.png", "it is empty")
    assert "it is empty" in str(error)


KINDS = {
    "jpg": encoded("jpg"),
    "png": encoded("png"),
    "webp": encoded("webp"),
    "bmp": encoded("bmp"),
    "tif": encoded("tif", compression="tiff_lzw"),
    "float": float_tiff(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_undamaged_bytes_give_an_image(tmp_path, kind):
    (tmp_path / "a.jpg").write_bytes(KINDS[kind])
    assert_close(read_gray(tmp_path / "a.jpg")[0], luma(scene()), 40)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), flips=st.integers(1, 8), keep=st.floats(0.1, 1))
def test_damaged_bytes_give_an_image_or_a_reason(tmp_path, kind, seed, flips, keep):
    content = bytearray(KINDS[kind])
    chance = random.Random(seed)
    for _ in range(flips):
        content[chance.randrange(min(len(content), 400))] = chance.randrange(256)
    path = tmp_path / "a.jpg"
    path.write_bytes(content[: int(len(content) * keep)])
    try:
        gray, (width, height) = read_gray(path)
    except Unreadable as error:
        assert "\n" not in str(error)
    else:
        assert gray.dtype == np.uint8
        assert gray.shape == (height, width)

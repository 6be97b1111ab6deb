"""Make a trained model the one that comes with the package, and note its digest on its card.

python benchmarks/ship.py exp-ssl/compact-round2/KEY/model-00020.pth
"""

import argparse
import re
from pathlib import Path

from hawp_core.model.checkpoint import load_checkpoint, save_checkpoint
from hawp_core.model.shipped import SHIPPED
from hawp_core.runtime.files import sha256, write_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a model of hawp train")
    network, info = load_checkpoint(parser.parse_args().model)
    # Without a recipe: how it was made is told on its card, and its key is the digest of its file.
    save_checkpoint(SHIPPED, network, epoch=info.epoch, recipe={})
    card = SHIPPED.with_name("README.md")
    write_text(card, re.sub(r"SHA-256 `[0-9a-f]*`", f"SHA-256 `{sha256(SHIPPED)}`", card.read_text(encoding="utf-8")))
    print(f"{SHIPPED}: {SHIPPED.stat().st_size:,} bytes, {sha256(SHIPPED)}")


if __name__ == "__main__":
    main()

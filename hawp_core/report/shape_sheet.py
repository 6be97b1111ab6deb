"""Contact sheets of the synthetic shapes with their labels."""

import io

import numpy as np
from PIL import Image

from hawp_core.data.data_config import read_shapes
from hawp_core.data.samples import Sample
from hawp_core.data.shapes.dataset import ShapeSet
from hawp_core.data.shapes.drawing import draw
from hawp_core.data.shapes.primitives import PUBLISHED, STYLES
from hawp_core.report.drawing import PREVIEW_COLUMNS, contact_sheet, overlay
from hawp_core.report.galleries import SHAPES_OF_EACH, Picture
from hawp_core.workflow.paths import shape_config
from hawp_core.workflow.recipe import SynthesizeRecipe

SMALLEST_TILE, LARGEST_TILE = 220, 640  # side of an image in the report, pixels


def shape_picture(recipe: SynthesizeRecipe) -> Picture:
    """The synthetic shapes as they were trained on: the first images of each primitive with their labels."""
    data = ShapeSet(read_shapes(shape_config(recipe.key)).train)
    kinds: dict[str, list[Sample]] = {}
    for i in range(len(data)):
        sample = data.item(i)
        primitive = sample.name.split("/")[1]
        if len(kinds.setdefault(primitive, [])) < SHAPES_OF_EACH:
            kinds[primitive].append(sample)
        elif all(len(samples) == SHAPES_OF_EACH for samples in kinds.values()):
            break
    scale = min(max(1.0, SMALLEST_TILE / data.size), LARGEST_TILE / data.size)
    samples = [sample for first in kinds.values() for sample in first]
    # A row shows one primitive after the other, PREVIEW_COLUMNS of them side by side.
    order = [
        kinds[name][index]
        for first in range(0, len(kinds), PREVIEW_COLUMNS)
        for index in range(len(samples) // len(kinds))
        for name in list(kinds)[first : first + PREVIEW_COLUMNS]
    ]
    tiles = [overlay(sample.image, sample.wireframe, scale=scale) for sample in order]
    titles = [sample.name.split("/")[1].replace("_", " ") for sample in order]
    sheet = contact_sheet(tiles, PREVIEW_COLUMNS, titles)
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, format="PNG")
    counted = ", ".join(
        f"{name.replace('_', ' ')} ({', '.join(str(len(s.wireframe.edges)) for s in kinds[name])} lines)"
        for name in kinds
    )
    return Picture("Synthetic shapes and their labels", f"Images of each primitive: {counted}.", stream.getvalue())


def preview_shapes(seed: int, image_size: int, rows: int, style: str = PUBLISHED) -> np.ndarray:
    """A contact sheet of the synthetic shapes of the training split, labels drawn over the images.

    Args:
        rows: images of each primitive.
        image_size: side of the images, pixels.
        style: one of `STYLES`.
    """
    tiles, titles = [], []
    primitives = STYLES[style]
    for first in range(0, len(primitives), PREVIEW_COLUMNS):
        for index in range(rows):
            for primitive in primitives[first : first + PREVIEW_COLUMNS]:
                image, wireframe = draw(
                    primitive, seed=seed, split="train", index=index, image_size=image_size, style=style
                )
                tiles.append(overlay(image, wireframe))
                titles.append(f"{primitive.replace('_', ' ')} {index}: {len(wireframe.edges)} lines")
    return contact_sheet(tiles, PREVIEW_COLUMNS, titles)

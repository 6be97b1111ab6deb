"""Names of the primitives, and how many images they make. Light, for who plans: drawing them needs OpenCV."""

# The order is part of every image's key and of the shards' order.
PRIMITIVES = ("checkerboard", "lines", "polygon", "multiple_polygons", "star", "stripes", "cube", "gaussian_noise")
SCENES = ("street", "front", "room", "boxes", "floor", "railing", "collage", "no_lines")
WITHOUT_LINES = ("gaussian_noise", "no_lines")
PUBLISHED, PHOTOGRAPHIC, MIXED = "published", "photographic", "mixed"
# The primitives that the images of a style take in turn.
STYLES = {PUBLISHED: PRIMITIVES, PHOTOGRAPHIC: SCENES, MIXED: PRIMITIVES + SCENES}


def image_count(of_each: int) -> int:
    """Images of a split that holds `of_each` of every primitive; of the style that has twice as many primitives, half of each."""
    return len(PRIMITIVES) * of_each

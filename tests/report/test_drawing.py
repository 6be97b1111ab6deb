"""Overlays and contact sheets: what is drawn, and where."""

import cv2
import numpy as np
import pytest

from hawp_core.data.shapes.primitives import PRIMITIVES
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.report.drawing import (
    GUTTER,
    JUNCTION_COLOUR,
    LINE_COLOUR,
    PREVIEW_COLUMNS,
    contact_sheet,
    overlay,
    save_png,
)
from hawp_core.report.shape_sheet import preview_shapes

GREY = np.full((40, 60), 128, np.uint8)
LINE = Wireframe.from_lines(np.array([[10.0, 20.0, 50.0, 20.0]]), 60, 40)


def is_near(pixel: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() <= 40)


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.5])
def test_lines_and_dots_are_where_the_wireframe_is(scale):
    picture = overlay(GREY, LINE, scale=scale)
    assert picture.shape == (round(40 * scale), round(60 * scale), 3) and picture.dtype == np.uint8
    x, y = (round((v + 0.5) * scale - 0.5) for v in (30.0, 20.0))
    assert is_near(picture[y, x], LINE_COLOUR)
    assert is_near(picture[y, round(10.5 * scale - 0.5)], JUNCTION_COLOUR)
    np.testing.assert_array_equal(picture[: y - 6], 128)
    np.testing.assert_array_equal(picture[:, : round(10.5 * scale) - 6], 128)


def test_the_image_itself_stays_and_may_be_coloured():
    image = np.dstack([GREY, GREY // 2, GREY * 0])
    before = image.copy()
    picture = overlay(image, LINE)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(picture[0, 0], [128, 64, 0])
    assert not np.shares_memory(picture, image)


def test_lines_of_a_large_picture_are_seen_where_the_whole_of_it_is():
    def rows(height: int, width: int) -> int:
        line = Wireframe.from_lines(np.array([[0.1, 0.5, 0.9, 0.5]]) * ([width, height] * 2), width, height)
        column = overlay(np.zeros((height, width), np.uint8), line)[:, width // 2, 0]
        return int((column > 100).sum())

    assert rows(40, 60) == rows(600, 900) <= 3
    assert 7 <= rows(3000, 4500) <= 9


def test_subpixel_positions_move_the_line():
    def centre(y: float) -> float:
        line = Wireframe.from_lines(np.array([[5.0, y, 55.0, y]]), 60, 40)
        red = overlay(np.zeros((40, 60), np.uint8), line)[:, 30, 0].astype(float)
        return float((red * np.arange(40)).sum() / red.sum())

    for y in (20.0, 20.25, 20.5, 20.75):
        assert abs(centre(y) - y) < 0.2


def test_a_wireframe_of_another_size_is_fitted():
    half = LINE.resized(30, 20)
    np.testing.assert_array_equal(overlay(GREY, half), overlay(GREY, LINE))


def test_an_empty_wireframe_changes_nothing():
    np.testing.assert_array_equal(overlay(GREY, Wireframe.empty(60, 40)), np.dstack([GREY] * 3))


@pytest.mark.parametrize("image", [GREY / 255.0, GREY[None, None], np.dstack([GREY] * 4)])
def test_other_kinds_of_image_are_errors(image):
    with pytest.raises(ValueError, match="overlay needs"):
        overlay(image, LINE)


@pytest.mark.parametrize("titles", [None, ["a", "b", "c", "d", "a title far too long for so narrow a cell"]])
def test_a_sheet_shows_every_tile_once_and_whole(titles):
    tiles = [np.full((20 + 4 * k, 50 - 3 * k, 3), (40 * k, 200, 10 + k), np.uint8) for k in range(5)]
    sheet = contact_sheet(tiles, 3, titles)
    for tile in tiles:
        y, x = np.nonzero((sheet == tile[0, 0]).all(axis=2))
        assert (np.ptp(y) + 1, np.ptp(x) + 1) == tile.shape[:2] and len(y) == tile.shape[0] * tile.shape[1]
    assert ((sheet < 100).all(axis=2).any()) == (titles is not None), "letters are black"
    rest = contact_sheet(tiles[:2], 7)
    assert rest.shape[1] < sheet.shape[1], "no empty columns"


def test_a_sheet_of_equal_pictures_is_torchvisions_grid():
    import torch
    from torchvision.utils import make_grid

    tiles = [np.full((20, 30, 3), 40 * k, np.uint8) for k in range(5)]
    grid = make_grid(torch.from_numpy(np.stack(tiles)).movedim(-1, 1), 3, GUTTER, pad_value=255)
    np.testing.assert_array_equal(contact_sheet(tiles, 3), grid.movedim(0, -1).numpy())


def test_a_title_a_little_too_long_is_written_smaller_and_whole():
    title = "multiple polygons 2: 12 lines"
    end, space = (contact_sheet([np.full((20, 128, 3), 255, np.uint8)], 1, [text]) for text in (title, title[:-6]))
    assert (end != space).any(), "the last word is left out"


@pytest.mark.parametrize(("tiles", "columns", "titles"), [([], 2, None), ([GREY], 0, None), ([GREY], 1, ["a", "b"])])
def test_impossible_sheets_are_errors(tiles, columns, titles):
    with pytest.raises(ValueError, match="no contact sheet"):
        contact_sheet(tiles, columns, titles)


def test_pictures_are_written_whole_in_rgb(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    save_png(tmp_path / "new" / "sheet.png", picture)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "new" / "sheet.png"))[..., ::-1], picture)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["sheet.png"]
    with pytest.raises(UserError, match=r"sheet\.png"):
        save_png(tmp_path / "new" / "sheet.png" / "inside.png", picture)


def test_the_preview_shows_every_primitive():
    one, two = (preview_shapes(1, 64, rows) for rows in (1, 2))
    blocks = -(-len(PRIMITIVES) // PREVIEW_COLUMNS)
    assert one.shape[1] == two.shape[1] >= PREVIEW_COLUMNS * 64
    assert one.shape[0] > blocks * 64 and two.shape[0] > 2 * blocks * 64
    assert (np.abs(one.astype(int) - LINE_COLOUR).max(axis=2) < 40).sum() > 100

"""A screen drawn as SVG."""

import xml.etree.ElementTree as ET

from tools.drawing import BACK, FRONT, SIZE, WIDTH, Cell, draw

SVG = "{http://www.w3.org/2000/svg}"


def cells(text: str, **style: bool | str) -> list[Cell]:
    return [Cell(sign, **style) for sign in text]  # type: ignore[arg-type]


def drawn(*rows: list[Cell]) -> ET.Element:
    return ET.fromstring(draw(list(rows), 20, "a <title>"))  # noqa: S314 - our own


def test_rows_are_texts_with_all_their_signs() -> None:
    image = drawn(cells("a < b & c  "), cells(""), cells("  d"))
    assert ["".join(text.itertext()) for text in image.iter(f"{SVG}text")] == ["a < b & c", "  d"]
    assert image.findtext(f"{SVG}title") == "a <title>"


def test_a_run_of_one_style_is_held_to_its_columns() -> None:
    """A font that is wider or narrower than ours must not move what stands behind it."""
    image = drawn([*cells("ab", is_bold=True), *cells("cd", front="red")])
    bold, red = image.iter(f"{SVG}tspan")
    assert bold.get("font-weight") == "bold"
    assert bold.get("fill") == FRONT
    assert float(red.get("x", "0")) - float(bold.get("x", "0")) == 2 * WIDTH
    assert float(red.get("textLength", "0")) == 2 * WIDTH


def test_a_wide_sign_fills_two_columns() -> None:
    (run,) = drawn([Cell("漢"), Cell(""), Cell("x")]).iter(f"{SVG}tspan")
    assert run.text == "漢x"
    assert abs(float(run.get("textLength", "0")) - 3 * WIDTH) < 0.06


def test_reversed_cells_have_the_colours_of_each_other() -> None:
    image = drawn(cells("x", is_reverse=True))
    back = [rect.get("fill") for rect in image.iter(f"{SVG}rect")]
    (run,) = image.iter(f"{SVG}tspan")
    assert back == [BACK, FRONT]
    assert run.get("fill") == BACK


def test_colours_may_be_numbers() -> None:
    (run,) = drawn(cells("x", front="ff8700")).iter(f"{SVG}tspan")
    assert run.get("fill") == "#ff8700"


def test_the_picture_is_as_high_as_its_rows() -> None:
    assert float(drawn(cells("a")).get("height", "0")) > SIZE
    assert float(drawn(*[cells("a")] * 3).get("height", "0")) > 3 * SIZE

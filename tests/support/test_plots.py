"""Laws of the pictures: they show the given values, and files are written completely or not at all."""

import numpy as np
import pytest
from matplotlib import image
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from scratchadv.support import plots


def test_save_writes_a_png_that_reads_back(tmp_path):
    """The file is a PNG with the size of the figure at 150 dots per inch, and the folder holds nothing else"""
    figure, axes = plots.figure_with_axes(1, 2, size=(2.0, 1.0))
    axes[0, 0].plot([0, 1])
    plots.save(figure, tmp_path / "name.png")
    assert [path.name for path in tmp_path.iterdir()] == ["name.png"]
    pixels = image.imread(tmp_path / "name.png")
    assert pixels.shape[:2] == (150, 600)
    assert pixels.std() > 0


def test_a_save_that_fails_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    """If writing fails, the old picture stays and the partial one is deleted"""
    path = tmp_path / "name.png"
    path.write_bytes(b"the old picture")

    def break_off(self, file, **options):
        file.write(b"half a")
        raise OSError("no space left on device")

    monkeypatch.setattr(Figure, "savefig", break_off)
    with pytest.raises(OSError, match="no space left"):
        plots.save(plots.figure_with_axes()[0], path)
    assert path.read_bytes() == b"the old picture"
    assert [p.name for p in tmp_path.iterdir()] == ["name.png"]


def test_axes_come_as_a_table():
    """figure_with_axes(r, c) has axes of shape (r, c), and the figure is c times as wide and r times as high as one"""
    for rows, columns in [(1, 1), (2, 3), (1, 4)]:
        figure, axes = plots.figure_with_axes(rows, columns, size=(2.0, 3.0))
        assert axes.shape == (rows, columns)
        assert figure.get_size_inches().tolist() == [2 * columns, 3 * rows]


@pytest.mark.parametrize("shape", [(4, 5, 1), (4, 5, 3)])
def test_an_image_is_drawn_clipped_to_its_limits(shape):
    """The picture shows clip(image, limits), and the limits are black and white"""
    axis = plots.figure_with_axes()[1][0, 0]
    pixels = np.linspace(-1, 2, np.prod(shape)).reshape(shape)
    plots.show_image(axis, pixels, (0.0, 1.0))
    drawn = axis.images[0]
    np.testing.assert_allclose(drawn.get_array(), np.clip(pixels, 0, 1).squeeze(), atol=1e-7)
    assert drawn.get_clim() == (0, 1)
    assert len(axis.get_xticks()) == len(axis.get_yticks()) == 0


def test_signed_images_have_zero_in_the_middle_of_their_own_scale():
    """The limits are -top and top with top = max |image|; an image of zeros can be drawn too"""
    images = [np.array([[[-3.0], [1.0]]]), np.array([[[0.5], [0.25]]]), np.zeros((1, 2, 1))]
    figure = plots.signed_images(images, ["a", "b", "c"])
    drawn = [axis for axis in figure.axes if axis.images]
    assert [axis.images[0].get_clim() for axis in drawn] == [(-3, 3), (-0.5, 0.5), (-1, 1)]
    assert [axis.get_title() for axis in drawn] == ["a", "b", "c"]
    for axis, pixels in zip(drawn, images, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), pixels[..., 0])
    with pytest.raises(ValueError, match="zip"):
        plots.signed_images(images, ["a"])


def test_before_and_after_marks_right_and_wrong():
    """Row r and column i show image i under condition r, with its prediction in green if correct and red if wrong"""
    images = np.arange(8.0).reshape(2, 2, 2, 1) / 8
    rows = [("clean", images, ["0", "1"], [True, False]), ("attacked", images + 0.1, ["1", "1"], [False, True])]
    figure = plots.before_and_after(rows, (-0.2, 1.2))
    axes = np.array(figure.axes).reshape(2, 2)
    for line, (title, pixels, names, right) in zip(axes, rows, strict=True):
        assert line[0].get_ylabel() == title
        for axis, picture, name, ok in zip(line, pixels, names, right, strict=True):
            np.testing.assert_allclose(axis.images[0].get_array(), picture[..., 0])
            assert axis.images[0].get_clim() == (-0.2, 1.2)
            assert axis.get_title() == name
            assert axis.title.get_color() == (plots.RIGHT if ok else plots.WRONG)
    assert to_rgba(plots.RIGHT)[1] > 0.4 > to_rgba(plots.WRONG)[1]


@pytest.mark.parametrize("mark", [None, (0.25, "trained here")])
def test_curves_are_the_lines_given(mark):
    """Each line has the given x, values, label and style; the mark is a line at its x"""
    x = np.linspace(0, 0.5, 6)
    lines = [("up", x, {"color": "red", "ls": "--"}), ("down", 1 - x, {"color": "blue"})]
    (axis,) = plots.curves(x, lines, "eps", "error", mark).axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["up", "down"] + ([mark[1]] if mark else [])
    for line, (_, values, style) in zip(axis.lines, lines, strict=False):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([x, values], axis=1))
        assert line.get_color() == style["color"]
    assert axis.lines[0].get_linestyle() == "--"
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_xlim()) == ("eps", "error", (0, 0.5))
    assert axis.get_ylim()[0] <= 0 <= 1 <= axis.get_ylim()[1]
    assert [line.get_xdata()[0] for line in axis.lines[2:]] == ([0.25] if mark else [])

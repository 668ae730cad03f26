"""The parts of a self-contained HTML page: its style, its curves as SVG and its images as PNG."""

import base64
import html
import math
from io import BytesIO

import numpy as np

STYLE = """
:root { color-scheme: light dark; --ink: #1c1f24; --soft: #626a75; --rule: #d9dde3; --paper: #ffffff; --panel: #f5f6f8;
  --line: #2166ac; --right: #1b7837; --wrong: #b2182b; --note: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa3ae; --rule: #3a4048; --paper: #16191d;
  --panel: #1f2328; --line: #74b3e8; --right: #7fc98f; --wrong: #f08a8f; --note: #e3b562; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 0 auto; padding: 2rem 1.25rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .6rem; }
p { margin: .4rem 0; max-width: 46rem; }
.lead { font-size: 1.1rem; max-width: none; }
.lead b { font-size: 1.5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.25rem; margin: 1rem 0; }
dt, .foot { color: var(--soft); }
figcaption { font-weight: 500; font-size: .95rem; }
dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
.numbers td, .numbers th { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--rule); text-align: right; }
.numbers th { color: var(--soft); font-weight: 500; }
.numbers :first-child { text-align: left; overflow-wrap: anywhere; }
.numbers tr:last-child td { border-bottom: 2px solid var(--ink); font-weight: 600; }
.curves { display: flex; flex-wrap: wrap; gap: 1rem 1.5rem; }
figure { margin: 0; flex: 1 1 18rem; max-width: 30rem; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font-size: 12.5px; }
.grid { stroke: var(--rule); stroke-width: 1; }
.mark { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 4 3; }
.line { fill: none; stroke: var(--line); stroke-width: 2; stroke-linejoin: round; }
.dot { fill: var(--line); }
.examples td { padding: .2rem .35rem; text-align: center; font-size: .85rem; }
.examples th { padding-right: .9rem; text-align: left; font-weight: 500; color: var(--soft); white-space: nowrap; }
.examples img { width: 5rem; height: 5rem; object-fit: contain; image-rendering: pixelated; display: block;
  border: 1px solid var(--rule); }
.right { color: var(--right); }
.wrong { color: var(--wrong); }
.note { background: var(--panel); border-left: 4px solid var(--note); padding: .6rem 1rem; margin: .5rem 0; }
.note b { color: var(--note); }
.foot { margin-top: 2.5rem; font-size: .85rem; }
"""

WIDTH, HEIGHT = 360, 230  # the size of a curve with its margins
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 22, 42  # the margins


def page(title, *parts):
    """Return a whole page, which loads nothing from elsewhere.

    Parameters
    ----------
    title : str
    *parts : str
        The parts of the body, as HTML.

    Returns
    -------
    str
    """
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join([f"<h1>{escape(title)}</h1>", *parts])
    head = f"<head>{head}\n<style>{STYLE}</style></head>"
    return f'<!DOCTYPE html>\n<html lang="en">\n{head}\n<body>\n{body}\n</body>\n</html>\n'


def escape(text):
    """Return the text with the special characters of HTML escaped.

    Parameters
    ----------
    text : object

    Returns
    -------
    str
    """
    return html.escape(str(text))


def table(header, rows, kind="numbers"):
    """Return a table; the texts of its cells are escaped.

    Parameters
    ----------
    header : list of str
    rows : list of list of str
    kind : str
        The CSS class.

    Returns
    -------
    str
    """
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table class="{kind}">\n<tr>{head}</tr>\n{body}\n</table></div>'


def curve(x, y, caption, xlabel, *, top=None, percent=False, mark=None):
    """Return a figure with one curve; each of its points shows its numbers when the pointer is over it.

    Parameters
    ----------
    x, y : sequence of float
        The points, with growing x; those whose y is not finite are left out.
    caption, xlabel : str
    top : float, optional
        The highest value of the vertical axis. Default: the largest y, rounded up.
    percent : bool
        Whether to show y as a percentage.
    mark : float, optional
        The place of a vertical line.

    Returns
    -------
    str
    """
    points = [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(b)]
    xticks = ticks(max(x))
    yticks = ticks(top or max((b for _, b in points), default=0))
    across = _scale(0, max(x), LEFT, WIDTH - RIGHT)
    up = _scale(0, yticks[-1], HEIGHT - BOTTOM, TOP)
    write = "{:.0%}".format if percent else "{:g}".format
    parts = [f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(b)}" y2="{up(b)}"/>' for b in yticks]
    parts += [_text(LEFT - 6, up(b) + 4, write(b), "end") for b in yticks]
    parts += [_text(across(a), HEIGHT - BOTTOM + 16, f"{a:g}") for a in xticks if a <= max(x) * 1.001]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, xlabel))
    if mark is not None:
        parts.append(f'<line class="mark" x1="{across(mark)}" x2="{across(mark)}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(_text(across(mark), TOP - 8, f"{xlabel} = {mark:g}"))
    line = " ".join(f"{across(a)},{up(b)}" for a, b in points)
    parts.append(f'<polyline class="line" points="{line}"/>')
    for a, b in points:
        label = f"{a:.4g}: {b:.2%}" if percent else f"{a:.4g}: {b:.4g}"
        parts.append(f'<circle class="dot" cx="{across(a)}" cy="{up(b)}" r="2.5"><title>{label}</title></circle>')
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(caption)}">{"".join(parts)}</svg>'
    return f"<figure><figcaption>{escape(caption)}</figcaption>{svg}</figure>"


def ticks(top):
    """Return about five round numbers from 0 to at least ``top``.

    Parameters
    ----------
    top : float

    Returns
    -------
    list of float
    """
    if not top > 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(top / 4))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m * 5 >= top * (1 - 1e-9))
    return [float(f"{step * i:.12g}") for i in range(math.ceil(top / step - 1e-9) + 1)]


def picture(image, alt):
    """Return an image as an element of the page.

    Parameters
    ----------
    image : ndarray, shape (H, W, 1) or (H, W, 3)
        From 0 (black) to 1; other values are clipped.
    alt : str
        The text in place of the image.

    Returns
    -------
    str
    """
    return f'<img src="data:image/png;base64,{base64.b64encode(png(image)).decode()}" alt="{escape(alt)}">'


def png(image):
    """Return the content of an 8-bit PNG file.

    Parameters
    ----------
    image : ndarray, shape (H, W, 1) or (H, W, 3)
        From 0 (black) to 1; other values are clipped.

    Returns
    -------
    bytes
    """
    from matplotlib.image import imsave  # slow to load, and needed for pages only

    levels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    file = BytesIO()
    imsave(file, np.broadcast_to(levels, (*levels.shape[:2], 3)), format="png")
    return file.getvalue()


def _scale(low, high, start, end):
    """Return the function from the numbers of an axis to coordinates in the drawing."""
    return lambda value: round(start + (end - start) * (value - low) / ((high - low) or 1), 2)


def _text(x, y, words, anchor="middle"):
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'

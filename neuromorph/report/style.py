"""How plots look: colours that colour-blind readers can tell apart, and SVG that follows the page into dark mode."""

import io
import re

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

BLUE, VERMILLION, GREEN, PURPLE, SKY, ORANGE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, SKY, ORANGE)
"""Okabe and Ito's palette (2008) without black and yellow, which vanish on dark and on white."""
INK = "#767778"
"""Text and axes: a mid grey that reads on white and on black; `to_svg` turns it into the page's own text colour (and
lets the page brighten the darker colours by CSS variables)."""
MUTED = "#9a9b9c"
LONGEST = 24  # characters of a name in a picture
SMALL = 11.0  # points; a figure is drawn with one point a CSS pixel


def new_axis(ax: Axes | None, width: float = 360.0, height: float = 220.0) -> Axes:
    """`ax`, or the axis of a new figure of that size [points], in the common style; the ground of a new figure shows through."""
    if ax is None:
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        figure.patch.set_alpha(0)
        ax = figure.add_subplot()
    ax.patch.set_alpha(0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(INK)
    ax.tick_params(which="both", colors=INK, labelsize=SMALL)
    return ax


def label(ax: Axes, x: str, y: str) -> Axes:
    """Name both axes."""
    ax.set_xlabel(x, color=INK, fontsize=SMALL)
    ax.set_ylabel(y, color=INK, fontsize=SMALL)
    return ax


def value_axis(ax: Axes, precision: str) -> None:
    """Few marks upwards; integers, which are large, with prefixes."""
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=precision == "integer"))
    if precision == "integer":
        ax.yaxis.set_major_formatter(EngFormatter(sep="\u202f"))


def plain(text: str) -> str:
    """Text that matplotlib takes as it is, dollar signs and all, cut where it would push the data out of the picture."""
    return (text if len(text) <= LONGEST else text[: LONGEST - 1] + "…").replace("$", r"\$")


def legend(ax: Axes) -> None:
    """A frameless legend above the axis, where it hides nothing."""
    _, names = ax.get_legend_handles_labels()
    if len(names) > 1:
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": min(len(names), 3), "borderaxespad": 0.2}
        ax.legend(**place, frameon=False, fontsize=SMALL, labelcolor=INK, handlelength=1.2, columnspacing=1.0)


def to_svg(ax: Axes, name: str, title: str) -> str:
    """The axis' figure as an SVG element to set into a page: it scales, says `title` to screen readers, asks for nothing.

    `name` is put before every id, so that several figures share one page. Equal figures give equal text.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None, "an axis has a figure"
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "path.simplify": False}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--sans, sans-serif)", svg)
    svg = svg.replace(INK, "currentColor")
    for variable, colour in (("blue", BLUE), ("vermillion", VERMILLION), ("green", GREEN)):
        svg = svg.replace(colour.lower(), f"var(--{variable}, {colour})")
    referenced = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in referenced else "", svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{name}-", svg)
    width, height = (72 * size for size in figure.get_size_inches())
    head = f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" aria-label="{_attribute(title)}">'
    return re.sub(r"<svg[^>]*>", lambda _: head, svg, count=1).strip()


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")

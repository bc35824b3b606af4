"""Image, truth and prediction side by side."""

from PIL import Image, ImageDraw

from san.visualize.fonts import load_font
from san.visualize.label_map import class_shares
from san.visualize.legend import PAPER, draw_legend
from san.visualize.overlay import draw_view, resize_to_view

GAP = 8  # pixels between the panels
_INK = (32, 33, 36)


def draw_comparison(image, truth, label_map, names, colors, title="prediction", alpha=0.6):
    """Draw three panels and the legend of what the truth shows.

    Args:
        image: (H,W,3) uint8 RGB.
        truth, label_map: (H,W) integers, position in ``names``; -1 for none, shown grey and dimmed.
        names: one string per class.
        colors: (C,3) uint8 sRGB.
        title: of the prediction.
        alpha: share of the class color in a pixel, 0..1.

    Returns:
        PIL image; the legend's shares are those of the truth.
    """
    panels = {
        "image": Image.fromarray(resize_to_view(image)),
        "truth": draw_view(image, truth, names, colors, alpha)[0],
    }
    panels[title], font_size = draw_view(image, label_map, names, colors, alpha)
    width, height = panels["image"].size
    band = round(1.8 * font_size)
    total = 3 * width + 2 * GAP
    legend = draw_legend(total, names, colors, class_shares(truth), font_size)
    canvas = Image.new("RGB", (total, band + height + legend.height), PAPER)
    for column, (text, panel) in enumerate(panels.items()):
        left = column * (width + GAP)
        canvas.paste(panel, (left, band))
        middle = (left + width / 2, band / 2)
        ImageDraw.Draw(canvas).text(middle, text, _INK, load_font(font_size, text), anchor="mm")
    canvas.paste(legend, (0, band + height))
    return canvas

"""The legend: swatch, name and area share of every class in the picture."""

from PIL import Image, ImageDraw

from san.visualize.fonts import load_font

PAPER = (255, 255, 255)
_INK, _MUTED, _NONE_COLOR = (32, 33, 36), (110, 114, 120), (115, 115, 115)
_NONE_NAME = "none of these"


def draw_legend(width, names, colors, shares, font_size):
    """Draw the legend in as many columns as fit.

    Args:
        width: pixels.
        names, colors: per class its name and its sRGB color 0..255.
        shares: {label: share of the pixels}, in the order to show; -1 stands for none.
        font_size: pixels.
    """
    swatch, gap, row = round(font_size * 1.1), round(font_size * 0.6), round(font_size * 1.8)
    texts = [names[label] if label >= 0 else _NONE_NAME for label in shares]
    fonts = [load_font(font_size, text) for text in texts]
    number_font = load_font(font_size)
    fixed = swatch + number_font.getlength("100.0%") + 4 * gap  # all of a column but the name
    inner = width - 2 * gap
    widest = max(font.getlength(text) for font, text in zip(fonts, texts, strict=True))
    columns = int(max(1, min(inner // (fixed + widest), len(texts))))
    rows = -(-len(texts) // columns)
    column = inner / columns
    legend = Image.new("RGB", (width, rows * row + 2 * gap), PAPER)
    draw = ImageDraw.Draw(legend)
    for position, (label, text, font) in enumerate(zip(shares, texts, fonts, strict=True)):
        x = gap + position // rows * column
        y = gap + (position % rows + 0.5) * row
        color = tuple(int(value) for value in colors[label]) if label >= 0 else _NONE_COLOR
        box = (x, y - swatch / 2, x + swatch, y + swatch / 2)
        draw.rounded_rectangle(box, swatch // 4, fill=color)
        text = _shorten(text, font, column - fixed)
        draw.text((x + swatch + gap, y), text, _INK, font, anchor="lm")
        end = min(x + fixed + widest, x + column) - gap
        draw.text((end, y), _percent(shares[label]), _MUTED, number_font, anchor="rm")
    return legend


def _percent(share):
    return f"{share:.1%}" if share >= 0.0005 else "<0.1%"


def _shorten(text, font, room):
    """Cut ``text`` to ``room`` pixels, ending in an ellipsis."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"

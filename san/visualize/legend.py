"""The legend: swatch, name and area share of every class in the picture."""

from PIL import Image, ImageDraw

from san.visualize.fonts import load_font, shorten

PAPER = (255, 255, 255)
_INK, _MUTED, _NONE_COLOR = (32, 33, 36), (110, 114, 120), (115, 115, 115)
_FRAME = (190, 194, 200)  # lets a white swatch be seen
_NONE_NAME = "none of these"
_MAX_ENTRIES = 48  # the rest is counted in one line
_MAX_NAME = 14  # longest name in several columns, times the font size


def draw_legend(width, names, colors, shares, font_size):
    """Draw the legend in as many columns as fit.

    Args:
        width: pixels.
        names, colors: per class its name and its sRGB color 0..255.
        shares: {label: share of the pixels}, in the order to show; -1 stands for none.
        font_size: pixels.
    """
    swatch, gap, row = round(font_size * 1.1), round(font_size * 0.6), round(font_size * 1.8)
    number_font = load_font(font_size)
    entries = _entries(names, colors, shares)
    fixed = swatch + number_font.getlength("100.0%") + 4 * gap  # all of a column but the name
    inner = width - 2 * gap
    longest = max(load_font(font_size, name).getlength(name) for name, _, _ in entries)
    room = min(longest, max(_MAX_NAME * font_size, inner / len(entries) - fixed), inner - fixed)
    columns = int(max(1, min(inner // (fixed + room), len(entries))))
    rows = -(-len(entries) // columns)
    legend = Image.new("RGB", (width, rows * row + 2 * gap), PAPER)
    draw = ImageDraw.Draw(legend)
    for position, (name, color, share) in enumerate(entries):
        x = gap + position // rows * (inner / columns)
        y = gap + (position % rows + 0.5) * row
        box = (x, y - swatch / 2, x + swatch, y + swatch / 2)
        if color is not None:
            draw.rounded_rectangle(box, swatch // 4, fill=color, outline=_FRAME)
        font = load_font(font_size, name)
        draw.text((x + swatch + gap, y), shorten(name, font, room), _INK, font, anchor="lm")
        draw.text((x + fixed + room - gap, y), _percent(share), _MUTED, number_font, anchor="rm")
    return legend


def _entries(names, colors, shares):
    """(name, color, share) of each line; what is beyond `_MAX_ENTRIES` becomes one line."""
    entries = [
        (_NONE_NAME, _NONE_COLOR, share)
        if label < 0
        else (names[label], tuple(int(value) for value in colors[label]), share)
        for label, share in shares.items()
    ]
    if len(entries) <= _MAX_ENTRIES:
        return entries
    shown, hidden = entries[: _MAX_ENTRIES - 1], entries[_MAX_ENTRIES - 1 :]
    rest = sum(share for _, _, share in hidden)
    return [*shown, (f"and {len(hidden)} more", None, rest)]


def _percent(share):
    return f"{share:.1%}" if share >= 0.0005 else "<0.1%"

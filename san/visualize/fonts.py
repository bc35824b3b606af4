"""Fonts for class names: DejaVu Sans, which comes with matplotlib, else any installed one."""

import functools
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ImageFont


def load_font(size, text=""):
    """Open a font of ``size`` pixels that has the characters of ``text``, if one is installed."""
    return _open_font(_find_font(frozenset(text)), size)


@functools.lru_cache(maxsize=256)
def _open_font(path, size):
    return ImageFont.truetype(path, size)


@functools.lru_cache(maxsize=4096)
def _find_font(characters):
    default = str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
    if not _lacks(default, characters):
        return default
    from matplotlib.font_manager import fontManager  # scans the installed fonts: only if needed

    upright = (f.fname for f in fontManager.ttflist if f.style == "normal" and f.weight == 400)
    return min((default, *upright), key=lambda path: _lacks(path, characters))


def _lacks(path, characters):
    """Number of ``characters`` that the font has no glyph for."""
    return sum(ord(character) not in _charmap(path) for character in characters)


@functools.cache
def _charmap(path):
    return frozenset(FT2Font(path).get_charmap())


def shorten(text, font, room):
    """Cut ``text`` to ``room`` pixels, ending in an ellipsis."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"

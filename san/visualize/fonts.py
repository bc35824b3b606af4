"""Fonts for class names: DejaVu Sans, which comes with matplotlib, else any installed one."""

import functools
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

_DEFAULT = Path("fonts", "ttf", "DejaVuSans.ttf")  # in the data of matplotlib


def load_font(size, text=""):
    """Open a font of ``size`` pixels that has the characters of ``text``, if one is installed."""
    return _open_font(_find_font(frozenset(text)), size)


@functools.lru_cache(maxsize=256)
def _open_font(path, size):
    return ImageFont.truetype(path, size)


@functools.lru_cache(maxsize=4096)
def _find_font(characters):
    default = _find_default()
    if all(map(str.isascii, characters)) or not _lacks(default, characters):
        return default
    from matplotlib.font_manager import fontManager  # scans the installed fonts: only if needed

    upright = (f.fname for f in fontManager.ttflist if f.style == "normal" and f.weight == 400)
    return min((default, *upright), key=lambda path: _lacks(path, characters))


@functools.cache
def _find_default():
    """Where matplotlib has it; importing matplotlib takes longer than to draw many names."""
    package = Path(find_spec("matplotlib").submodule_search_locations[0])
    if (package / "mpl-data" / _DEFAULT).is_file():
        return str(package / "mpl-data" / _DEFAULT)
    import matplotlib  # some systems keep its data elsewhere

    return str(Path(matplotlib.get_data_path()) / _DEFAULT)


def _lacks(path, characters):
    """Number of ``characters`` that the font has no glyph for."""
    return sum(ord(character) not in _charmap(path) for character in characters)


@functools.cache
def _charmap(path):
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(path).get_charmap())


def shorten(text, font, room):
    """Cut ``text`` to ``room`` pixels, ending in an ellipsis."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"

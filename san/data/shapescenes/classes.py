"""The classes of ShapeScenes: 8 shapes x 8 colors, and 12 kinds of stuff; data only.

The first word of each is its class name, the others are synonyms that captions use as well; the
first synonym names the class in the renamed vocabulary.
"""

from dataclasses import dataclass

SHAPES = {
    "circle": ("disc", "disk"),
    "square": ("box", "block"),
    "triangle": ("wedge", "pyramid"),
    "star": ("pentagram", "asterisk"),
    "cross": ("plus", "plus sign"),
    "ring": ("hoop", "loop"),
    "heart": ("valentine", "love heart"),
    "crescent": ("moon", "sickle"),
}
COLORS = {
    "red": ("crimson", "scarlet"),
    "orange": ("tangerine", "amber"),
    "yellow": ("golden", "lemon"),
    "green": ("emerald", "verdant"),
    "blue": ("azure", "cobalt"),
    "purple": ("violet", "plum"),
    "white": ("ivory", "snowy"),
    "black": ("ebony", "jet-black"),
}
STUFF = {
    "sky": ("heavens", "clouds"),
    "grass": ("lawn", "meadow"),
    "water": ("sea", "lake"),
    "sand": ("beach", "dunes"),
    "snow": ("ice", "snowfield"),
    "road": ("asphalt", "street"),
    "gravel": ("pebbles", "shingle"),
    "soil": ("dirt", "earth"),
    "brick": ("masonry", "brickwork"),
    "wood": ("timber", "planks"),
    "tiles": ("checkered floor", "tiling"),
    "leaves": ("foliage", "autumn leaves"),
}
PATTERNS = {"plain": (), "striped": ("banded",), "dotted": ("spotted",)}

# Every shape and every color has two unseen combinations: number s of SHAPES with number s and
# number s + 3 of COLORS.
UNSEEN_COLOR_STEPS = (0, 3)
UNSEEN_STUFF = ("snow", "gravel", "wood")


@dataclass(frozen=True)
class ShapeScenesClass:
    """One class.

    Attributes:
        name: such as "red circle" or "grass".
        shape, color: key of `SHAPES` and of `COLORS`; None for stuff.
        seen: its masks are in the training split.
    """

    name: str
    shape: str | None
    color: str | None
    seen: bool

    @property
    def is_thing(self):
        """True for a colored shape, False for stuff."""
        return self.shape is not None


def _things():
    for s, shape in enumerate(SHAPES):
        for c, color in enumerate(COLORS):
            name = f"{color} {shape}"
            seen = (c - s) % len(COLORS) not in UNSEEN_COLOR_STEPS
            yield ShapeScenesClass(name, shape, color, seen)


def _stuff():
    for name in STUFF:
        yield ShapeScenesClass(name, None, None, name not in UNSEEN_STUFF)


# A class id is the position in this tuple: things first, shape by shape, then stuff.
CLASSES = (*_things(), *_stuff())
THING_IDS = tuple(i for i, c in enumerate(CLASSES) if c.is_thing)
STUFF_IDS = tuple(i for i, c in enumerate(CLASSES) if not c.is_thing)
SEEN_IDS = tuple(i for i, c in enumerate(CLASSES) if c.seen)

"""Class colors that stay apart to the eye: farthest points in Oklab (https://bottosson.github.io/posts/oklab).

Every next color is the one farthest from all before it, so the first C colors are the same
whatever the number of classes, and a given color pushes the others away from itself.
"""

import functools

import numpy as np

_GRID_STEPS = 24  # candidates per sRGB channel
_LIGHTNESS = (0.50, 0.86)  # neither black nor white: class borders and text need contrast
_CHROMA = (0.09, 0.21)  # neither grey nor glaring
_FIRST = (56, 132, 214)  # a calm blue opens the palette

_RGB_TO_LMS = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929],
     [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
_LMS_TO_LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468],
     [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip


def srgb_to_oklab(colors):
    """(N,3) sRGB values 0..255 -> (N,3) Oklab: lightness 0..1 and two chroma axes."""
    value = np.asarray(colors, dtype=np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _RGB_TO_LMS.T) @ _LMS_TO_LAB.T


@functools.cache
def _candidates():
    """All colors that the palette may use -> ((N,3) uint8 sRGB, (N,3) Oklab)."""
    steps = np.linspace(0, 255, _GRID_STEPS).round().astype(np.uint8)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = srgb_to_oklab(rgb)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    keep = (
        (lab[:, 0] >= _LIGHTNESS[0])
        & (lab[:, 0] <= _LIGHTNESS[1])
        & (chroma >= _CHROMA[0])
        & (chroma <= _CHROMA[1])
    )
    return rgb[keep], lab[keep]


def palette(count, taken=()):
    """Give ``count`` distinct colors, (count,3) uint8, each far from the others and from ``taken``.

    Args:
        count: how many; beyond some thousands the colors repeat.
        taken: (N,3) sRGB colors already in use, 0..255.
    """
    chosen = _farthest_points(count, tuple(map(tuple, np.reshape(taken, (-1, 3)).tolist())))
    return _candidates()[0][np.resize(chosen, count)] if count else np.zeros((0, 3), np.uint8)


@functools.lru_cache(maxsize=16)
def _farthest_points(count, taken):
    """Indices of ``count`` candidates, or of all if there are fewer; the same words come again."""
    _, lab = _candidates()
    axes = np.ascontiguousarray(lab.T)  # (3, N)

    def distance(color):  # squared, (N,)
        return sum((axis - value) ** 2 for axis, value in zip(axes, color, strict=True))

    nearest = np.full(len(lab), np.inf)  # of each candidate to the chosen ones
    for color in srgb_to_oklab(np.reshape(taken, (-1, 3))):
        nearest = np.minimum(nearest, distance(color))
    chosen = []
    for _ in range(min(count, len(lab))):
        if np.isinf(nearest[0]):
            index = int(distance(srgb_to_oklab([_FIRST])[0]).argmin())
        else:
            index = int(nearest.argmax())
        chosen.append(index)
        nearest = np.minimum(nearest, distance(lab[index]))
    return chosen

"""Draw the sample images of the demo: `python demo/make_images.py [FOLDER]`.

The scenes are made of shapes, gradients and seeded noise, so they belong to the project, and the
same versions of NumPy, OpenCV and Pillow draw them again pixel for pixel.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 480, 360
_SCALE = 3  # drawn larger and shrunk, for smooth edges


class Canvas:
    """Painting in coordinates of the final image, (x, y) with y downward."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.image = Image.new("RGB", (WIDTH * _SCALE, HEIGHT * _SCALE))

    def mask(self, shape, points):
        """Mask of a "polygon", an "ellipse" (two corners) or a "line" with a width."""
        mask = Image.new("L", self.image.size)
        draw = ImageDraw.Draw(mask)
        xy = [(x * _SCALE, y * _SCALE) for x, y in points]
        if shape == "polygon":
            draw.polygon(xy, fill=255)
        else:
            draw.ellipse([*xy[0], *xy[1]], fill=255)
        return mask

    def fill(self, mask, top, bottom=None, grain=(1, 1), noise=0.0):
        """Fill a mask from color ``top`` down to ``bottom``; ``grain`` is (x,y) pixels."""
        x0, y0, x1, y1 = mask.getbbox()
        ramp = np.linspace(0, 1, y1 - y0)[:, None, None]
        color = np.array(top) * (1 - ramp) + np.array(bottom or top) * ramp  # (h,1,3)
        grid = ((y1 - y0) // (_SCALE * grain[1]) + 2, (x1 - x0) // (_SCALE * grain[0]) + 2)
        grains = cv2.resize(self.rng.normal(0, noise, grid), (x1 - x0, y1 - y0))
        pixels = (color + grains[..., None]).clip(0, 255).astype(np.uint8)
        self.image.paste(Image.fromarray(pixels), (x0, y0), mask.crop((x0, y0, x1, y1)))

    def polygon(self, points, *args, **kwargs):
        self.fill(self.mask("polygon", points), *args, **kwargs)

    def box(self, x0, y0, x1, y1, *args, **kwargs):
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], *args, **kwargs)

    def ellipse(self, x, y, rx, ry, *args, **kwargs):
        self.fill(self.mask("ellipse", [(x - rx, y - ry), (x + rx, y + ry)]), *args, **kwargs)

    def glow(self, x, y, radius, color, blur):
        """A disk whose light spreads over ``blur`` pixels."""
        mask = self.mask("ellipse", [(x - radius, y - radius), (x + radius, y + radius)])
        self.image.paste(color, mask=mask.filter(ImageFilter.GaussianBlur(blur * _SCALE)))

    def ridge(self, base, height, *args, step=6, rough=0.5, **kwargs):
        """Hills: everything below a fractal line around y = ``base``."""
        count = WIDTH // step + 2
        line = np.zeros(count)
        for octave in range(5):
            knots = self.rng.normal(0, height * rough**octave, 3 * 2**octave + 1)
            line += np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(knots)), knots)
        points = [(i * step, base + value) for i, value in enumerate(line)]
        self.polygon([(0, HEIGHT), *points, (WIDTH + step, HEIGHT)], *args, **kwargs)

    def cloud(self, x, y, size):
        for dx, dy, r in [(-1, 0.2, 0.5), (-0.4, -0.1, 0.7), (0.3, 0, 0.62), (0.95, 0.25, 0.45)]:
            self.ellipse(x + dx * size, y + dy * size, r * size, r * size * 0.72,
                         (255, 255, 255), (226, 234, 244))  # fmt: skip

    def tree(self, x, y, size):
        """A leafy tree that stands at (x,y)."""
        self.box(x - 0.08 * size, y - 0.5 * size, x + 0.08 * size, y, (112, 78, 50), (84, 56, 36))
        for dx, dy, r in [(-0.3, 0.6, 0.3), (0.3, 0.6, 0.3), (0, 0.9, 0.36), (0, 0.62, 0.34)]:
            self.ellipse(x + dx * size, y - dy * size, r * size, r * size,
                         (74, 146, 62), (38, 98, 46), grain=(3, 3), noise=14)  # fmt: skip

    def pine(self, x, y, size):
        """A fir tree that stands at (x,y)."""
        self.box(x - 0.05 * size, y - 0.2 * size, x + 0.05 * size, y, (84, 60, 42))
        for level in range(3):
            top, half = y - size + level * 0.24 * size, (0.16 + 0.08 * level) * size
            self.polygon([(x, top), (x + half, top + 0.42 * size), (x - half, top + 0.42 * size)],
                         (44, 104, 78), (22, 66, 56), grain=(2, 2), noise=9)  # fmt: skip

    def save(self, path):
        image = self.image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        image.save(path, quality=90, optimize=True)


def draw_countryside():
    """A red house and trees on a meadow, under a blue sky with clouds."""
    c = Canvas(seed=1)
    c.box(0, 0, WIDTH, 230, (86, 158, 226), (206, 230, 246))
    c.glow(404, 62, 34, (255, 236, 170), 12)
    c.ellipse(404, 62, 25, 25, (255, 224, 104))
    c.cloud(96, 70, 42)
    c.cloud(268, 46, 28)
    c.ridge(196, 12, (128, 164, 142), (96, 146, 104), grain=(4, 3), noise=5)
    c.ridge(232, 8, (124, 182, 76), (66, 132, 48), grain=(2, 3), noise=12)
    c.polygon([(232, 268), (262, 268), (330, 360), (190, 360)],
              (214, 190, 148), (188, 160, 116), grain=(3, 2), noise=10)  # fmt: skip
    c.box(186, 178, 312, 270, (196, 84, 66), (170, 64, 52), grain=(6, 2), noise=7)
    c.polygon([(172, 184), (249, 122), (326, 184)], (96, 74, 70), (74, 56, 56), (5, 2), noise=8)
    c.box(282, 126, 298, 164, (138, 84, 72), (118, 68, 60))
    c.box(232, 218, 262, 270, (104, 70, 44), (82, 54, 34))
    for x in (196, 274):
        c.box(x, 202, x + 28, 230, (250, 246, 234))
        c.box(x + 3, 205, x + 25, 227, (126, 176, 206), (184, 214, 230))
    c.tree(96, 282, 120)
    c.tree(396, 272, 92)
    return c


def draw_beach():
    """A sailing boat on the sea, and a ball and an umbrella on the sand."""
    c = Canvas(seed=2)
    c.box(0, 0, WIDTH, 150, (64, 148, 222), (196, 228, 246))
    c.cloud(360, 52, 38)
    c.cloud(150, 36, 24)
    c.box(0, 146, WIDTH, 262, (24, 104, 164), (76, 176, 196), grain=(22, 2), noise=11)
    c.polygon([(168, 176), (292, 176), (272, 204), (190, 204)], (150, 60, 52), (112, 40, 40))
    c.box(226, 60, 230, 178, (104, 76, 52))
    c.polygon([(222, 66), (222, 168), (160, 168)], (252, 248, 240), (224, 222, 220))
    c.polygon([(234, 58), (234, 168), (290, 168)], (250, 206, 92), (236, 170, 62))
    shore = [(x, 246 + 9 * np.sin(x / 52)) for x in range(0, WIDTH + 20, 8)]
    foam = [(x, y - 6) for x, y in shore]
    c.polygon([(0, 300), *foam, (WIDTH, 300)], (244, 250, 250))
    c.polygon([(0, HEIGHT), *shore, (WIDTH, HEIGHT)],
              (240, 214, 160), (214, 180, 120), grain=(2, 2), noise=9)  # fmt: skip
    c.polygon([(369, 232), (374, 232), (386, 334), (381, 334)], (236, 236, 236))
    c.fill(c.mask("polygon", _dome(370, 238, 84, 62)), (232, 74, 74), (196, 44, 52))
    for left, right in ((-52, -20), (14, 46)):
        c.polygon([(370, 177), (370 + right, 238), (370 + left, 238)], (250, 246, 240))
    c.ellipse(150, 318, 40, 8, (190, 156, 104))
    c.ellipse(150, 288, 34, 34, (250, 250, 250), (214, 218, 226))
    for start, color in ((0, (60, 120, 214)), (120, (240, 188, 46)), (240, (226, 70, 70))):
        angles = np.radians(np.linspace(start, start + 58, 12))
        arc = [(150 + 34 * np.cos(a), 288 + 34 * np.sin(a)) for a in angles]
        c.polygon([(150, 288), *arc], color)
    return c


def draw_lake():
    """Snowy mountains and fir trees around a lake at dusk."""
    c = Canvas(seed=5)
    c.box(0, 0, WIDTH, 220, (94, 84, 158), (250, 186, 148))
    c.glow(352, 64, 22, (255, 240, 214), 8)
    c.ellipse(352, 64, 18, 18, (255, 246, 228))
    for peak, half, foot in ((120, 150, 80), (300, 190, 52), (440, 130, 104)):
        left, right = (peak - half, 228), (peak + half, 228)
        c.polygon([left, (peak, foot), right], (118, 112, 146), (84, 88, 120), (5, 5), noise=9)
        side, drop = 0.36 * half, 0.36 * (228 - foot)
        snow = [(peak, foot), (peak + side, foot + drop),
                (peak + half * 0.16, foot + drop * 0.7), (peak, foot + drop * 1.15),
                (peak - half * 0.17, foot + drop * 0.72), (peak - side, foot + drop)]  # fmt: skip
        c.polygon(snow, (252, 248, 252), (222, 220, 236))
    c.ridge(222, 5, (74, 108, 92), (48, 84, 74), grain=(3, 3), noise=8)
    c.box(0, 240, WIDTH, HEIGHT, (196, 150, 160), (58, 84, 134), grain=(26, 2), noise=8)
    c.ellipse(352, 268, 34, 3, (250, 226, 206))
    c.ellipse(352, 280, 22, 2, (240, 214, 202))
    shore = [(x, 322 + 14 * np.sin(x / 70 + 1)) for x in range(0, WIDTH + 20, 8)]
    c.polygon(
        [(0, HEIGHT), *shore, (WIDTH, HEIGHT)], (96, 138, 74), (62, 100, 58), (2, 2), noise=11
    )
    for x, y, size in ((42, 338, 150), (104, 346, 108), (424, 344, 166), (368, 350, 104)):
        c.pine(x, y, size)
    return c


def draw_street():
    """A blue car on a road before a row of houses."""
    c = Canvas(seed=4)
    c.box(0, 0, WIDTH, 200, (132, 186, 232), (228, 238, 246))
    c.cloud(214, 40, 30)
    houses = ((0, 70, 118, (214, 168, 120)), (118, 36, 108, (184, 96, 84)),
              (226, 92, 122, (236, 214, 166)), (348, 52, 140, (140, 160, 178)))  # fmt: skip
    for x, top, width, color in houses:
        c.box(x, top, x + width, 244, color, [0.82 * v for v in color], grain=(4, 2), noise=6)
        c.box(x - 2, top - 8, x + width + 2, top + 2, [0.55 * v for v in color])
        for wx in range(x + 14, x + width - 24, 34):
            for wy in range(top + 20, 190, 44):
                c.box(wx, wy, wx + 20, wy + 28, (248, 246, 240))
                c.box(wx + 2, wy + 2, wx + 18, wy + 26, (74, 104, 134), (132, 166, 190))
    c.box(0, 240, WIDTH, 268, (196, 194, 190), (176, 174, 170), grain=(5, 2), noise=7)
    c.box(0, 264, WIDTH, HEIGHT, (92, 94, 100), (68, 70, 76), grain=(2, 2), noise=7)
    for x in range(-20, WIDTH, 90):
        c.polygon([(x, 322), (x + 46, 322), (x + 42, 329), (x - 4, 329)], (240, 236, 220))
    c.tree(66, 256, 108)
    c.ellipse(268, 322, 108, 8, (48, 50, 54))
    c.polygon([(206, 262), (230, 230), (300, 230), (330, 262)], (38, 92, 168), (34, 82, 152))
    c.polygon([(216, 261), (235, 236), (262, 236), (262, 261)], (190, 220, 234), (150, 190, 212))
    c.polygon([(268, 261), (268, 236), (297, 236), (319, 261)], (190, 220, 234), (150, 190, 212))
    c.polygon([(168, 314), (172, 272), (206, 260), (334, 260), (366, 272), (370, 314)],
              (52, 116, 200), (28, 74, 146))  # fmt: skip
    c.ellipse(364, 284, 7, 6, (255, 238, 170))
    for x in (212, 326):
        c.ellipse(x, 312, 23, 23, (34, 34, 38))
        c.ellipse(x, 312, 11, 11, (198, 202, 208), (150, 154, 160))
    return c


def _dome(x, y, rx, ry):
    """Upper half of an ellipse around (x,y)."""
    angles = np.linspace(np.pi, 2 * np.pi, 40)
    return [(x + rx * np.cos(a), y + ry * np.sin(a)) for a in angles]


SCENES = {
    "beach": draw_beach,
    "countryside": draw_countryside,
    "lake": draw_lake,
    "street": draw_street,
}


def main(folder):
    """Write every scene to ``folder`` as NAME.jpg."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in SCENES.items():
        draw().save(folder / f"{name}.jpg")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "images")

"""How stuff looks: one function for each kind.

Each takes a generator, a size (H, W) and a unit in pixels (see ``noise``), and gives (H, W, 3)
float32 RGB of about 0 to 255.
"""

import cv2
import numpy as np

from .noise import blend, coordinates, pebbles, smooth_noise

STRAIGHT, TURNED = 0.12, 0.5  # radians: how far a texture with lines may turn


def sky(rng, size, unit):
    """Blue, paler downwards, with clouds."""
    down = np.linspace(0, 1, size[0], dtype=np.float32)[:, None]
    clouds = smooth_noise(rng, size, (9 * unit, 22 * unit), 4)
    pixels = blend((78, 142, 226), (190, 222, 248), np.broadcast_to(down, size))
    return blend(pixels, (250, 250, 252), (clouds - rng.uniform(0, 0.7)) * 0.9)


def grass(rng, size, unit):
    """Green blades, upright, in patches."""
    blades = smooth_noise(rng, size, (6 * unit, 1.2 * unit), 2)
    patches = smooth_noise(rng, size, 16 * unit)
    return blend((44, 92, 26), (134, 182, 66), 0.5 + 0.24 * blades + 0.14 * patches)


def water(rng, size, unit):
    """Dark teal waves with glints."""
    _, down = coordinates(rng, size, unit, STRAIGHT)
    swell = smooth_noise(rng, size, (3 * unit, 13 * unit), 2)
    waves = np.sin(down * (2 * np.pi / rng.uniform(4, 6)) + 2.2 * swell)
    pixels = blend((14, 66, 98), (48, 140, 164), 0.5 + 0.42 * waves + 0.1 * swell)
    return blend(pixels, (226, 244, 246), (waves + 0.5 * swell - 1.15) * 2)


def sand(rng, size, unit):
    """Tan grain with ripples."""
    _, down = coordinates(rng, size, unit, TURNED)
    ripples = np.sin(down * 1.3 + 2.5 * smooth_noise(rng, size, 12 * unit))
    grain = smooth_noise(rng, size, 0.8 * unit)
    return blend((196, 160, 104), (240, 216, 164), 0.5 + 0.22 * ripples + 0.18 * grain)


def snow(rng, size, unit):
    """White with bluish hollows and tracks of the wind."""
    drifts = smooth_noise(rng, size, (8 * unit, 20 * unit), 3)
    sparkle = smooth_noise(rng, size, 0.7 * unit)
    return blend((158, 184, 226), (248, 250, 255), 0.66 + 0.3 * drifts + 0.06 * sparkle)


def road(rng, size, unit):
    """Dark grey asphalt with broken lane lines."""
    along, across = coordinates(rng, size, unit, np.pi)
    grain = smooth_noise(rng, size, 0.7 * unit)
    pixels = blend((58, 59, 64), (104, 105, 109), 0.5 + 0.2 * grain)
    lane = rng.uniform(20, 28)
    beside = np.abs((across + rng.uniform(0, lane)) % lane - lane / 2)  # units from the line
    dash = ((along + rng.uniform(0, 14)) % 14) < 9
    return blend(pixels, (228, 224, 206), np.clip(1.5 - beside, 0, 1) * dash)


def gravel(rng, size, unit):
    """Grey stones with dark gaps."""
    stones, distance = pebbles(rng, size, rng.uniform(3.2, 4.4) * unit)
    tone = rng.uniform(0.35, 1, stones.max() + 1).astype(np.float32)[stones]
    return blend((46, 44, 44), (206, 202, 198), tone * (1.25 - 1.3 * distance))


def soil(rng, size, unit):
    """Dark brown crumbs."""
    crumbs = smooth_noise(rng, size, 2.2 * unit, 3)
    damp = smooth_noise(rng, size, 18 * unit)
    return blend((46, 28, 18), (134, 94, 62), 0.46 + 0.26 * crumbs + 0.1 * damp)


def brick(rng, size, unit):
    """Red bricks in courses, with light mortar."""
    across, down = coordinates(rng, size, unit, STRAIGHT)
    height = rng.uniform(4.5, 6)
    width = 2.1 * height
    course = np.floor(down / height).astype(int)
    across = across + course % 2 * (width / 2)
    tone = _random_of(rng, course, np.floor(across / width).astype(int))
    grain = smooth_noise(rng, size, 1.2 * unit)
    pixels = blend((122, 44, 34), (192, 92, 68), tone + 0.12 * grain)
    mortar = (down % height < 0.9) | (across % width < 0.9)
    return blend(pixels, (206, 198, 186), mortar.astype(np.float32))


def wood(rng, size, unit):
    """Brown planks with grain along them."""
    along, across = coordinates(rng, size, unit, STRAIGHT)
    cell = (0.9 * unit, 16 * unit)
    if rng.random() < 0.5:  # planks stand upright
        along, across, cell = across, along, cell[::-1]
    plank = np.floor(across / rng.uniform(7, 10)).astype(int)
    board = np.floor((along + plank % 3 * 13) / 38).astype(int)
    tone = _random_of(rng, plank, board)
    grain = smooth_noise(rng, size, cell, 2)
    pixels = blend((118, 72, 38), (198, 142, 88), 0.15 + 0.6 * tone + 0.2 * grain)
    number = plank * 64 + board
    joints = np.zeros(size, np.uint8)
    joints[1:] |= number[1:] != number[:-1]
    joints[:, 1:] |= number[:, 1:] != number[:, :-1]
    joints = cv2.dilate(joints, np.ones((max(1, round(0.7 * unit)),) * 2))
    return blend(pixels, (48, 28, 14), joints * np.float32(0.9))


def tiles(rng, size, unit):
    """A checkered floor, cream and slate blue, with grout."""
    across, down = coordinates(rng, size, unit, TURNED)
    side = rng.uniform(6.5, 9)
    col, row = np.floor(across / side).astype(int), np.floor(down / side).astype(int)
    gloss = 0.12 * smooth_noise(rng, size, 14 * unit) + 0.1 * _random_of(rng, row, col)
    pixels = blend((100, 124, 150), (230, 224, 204), (row + col) % 2 + gloss)
    grout = (down % side < 0.7) | (across % side < 0.7)
    return blend(pixels, (84, 84, 84), grout.astype(np.float32))


def leaves(rng, size, unit):
    """Fallen leaves in the colors of autumn."""
    palette = np.float32(
        [(196, 92, 30), (222, 154, 44), (150, 50, 30), (126, 114, 42), (96, 60, 32)]
    )
    leaf, distance = pebbles(rng, size, rng.uniform(4.5, 6.5) * unit)
    color = palette[rng.integers(0, len(palette), leaf.max() + 1)][leaf]  # (H, W, 3)
    return color * (1.2 - 0.75 * distance)[..., None]


def _random_of(rng, row, col):
    """(H, W) float32 in 0..1, the same wherever row and column (H, W) of a lattice are."""
    table = rng.random((64, 64), dtype=np.float32)
    return table[row % 64, col % 64]


TEXTURES = {
    "sky": sky,
    "grass": grass,
    "water": water,
    "sand": sand,
    "snow": snow,
    "road": road,
    "gravel": gravel,
    "soil": soil,
    "brick": brick,
    "wood": wood,
    "tiles": tiles,
    "leaves": leaves,
}

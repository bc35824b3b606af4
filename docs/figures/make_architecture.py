"""Draws docs/figures/architecture.svg: what flows where in SAN.

python docs/figures/make_architecture.py
"""

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

FROZEN, TRAINED, DATA = "#dbe7f3", "#fbe3c8", "#f4f4f4"
BOXES = {  # name: (x, y, width, text, color)
    "image": (0.0, 1.0, 1.2, "image\n640 px", DATA),
    "clip": (1.9, 2.0, 1.9, "CLIP, shallow\nlow resolution", FROZEN),
    "side": (1.9, 0.0, 1.9, "side adapter\nfull resolution", TRAINED),
    "deep": (4.9, 2.0, 1.9, "CLIP, deep\n[SLS] tokens", FROZEN),
    "decoder": (4.9, 0.0, 1.9, "mask decoder", TRAINED),
    "words": (8.0, 2.6, 1.9, "your words\nCLIP text tower", FROZEN),
    "matmul": (8.15, 1.0, 1.6, "matrix\nproducts", DATA),
    "map": (10.45, 1.0, 1.2, "label\nmap", DATA),
}
HEIGHT = 0.9
ARROWS = [  # from, to, label, where the label stands
    ("image", "clip", "", None),
    ("image", "side", "", None),
    ("clip", "deep", "tokens", (4.35, 2.58)),
    ("clip", "side", "features", (2.32, 1.45)),
    ("side", "decoder", "queries,\npixels", (4.35, 0.78)),
    ("decoder", "deep", "attention\nbiases", (6.4, 1.45)),
    ("decoder", "matmul", "masks", (7.6, 0.62)),
    ("deep", "matmul", "mask\nembeddings", (7.5, 2.66)),
    ("words", "matmul", "", None),
    ("matmul", "map", "", None),
]


def _edge(start, end):
    """Where an arrow leaves and enters: at the sides of boxes apart, else at top and bottom."""
    x0, y0, w0 = BOXES[start][:3]
    x1, y1, w1 = BOXES[end][:3]
    if x1 >= x0 + w0:
        return (x0 + w0, y0 + HEIGHT / 2), (x1, y1 + HEIGHT / 2)
    if y1 > y0:
        return (x0 + w0 / 2, y0 + HEIGHT), (x1 + w1 / 2, y1)
    return (x0 + w0 / 2, y0), (x1 + w1 / 2, y1 + HEIGHT)


def main():
    """Draw and write the figure."""
    matplotlib.rcParams.update({"font.size": 11, "svg.fonttype": "none", "svg.hashsalt": "san"})
    figure, axes = plt.subplots(figsize=(11.8, 3.9))
    for x, y, width, text, color in BOXES.values():
        style = "round,pad=0,rounding_size=0.12"
        axes.add_patch(FancyBboxPatch((x, y), width, HEIGHT, style, fc=color, ec="#555555"))
        axes.text(x + width / 2, y + HEIGHT / 2, text, ha="center", va="center")
    for start, end, label, place in ARROWS:
        tail, head = _edge(start, end)
        arrow = {"arrowstyle": "-|>", "color": "#333333", "lw": 1.3}
        axes.annotate("", xy=head, xytext=tail, arrowprops=arrow)
        if place:
            axes.text(*place, label, ha="center", va="center", fontsize=9.5, color="#333333")
    axes.text(0, 3.3, "blue: frozen CLIP      orange: trained", fontsize=10, color="#555555")
    axes.set(xlim=(-0.1, 11.8), ylim=(-0.1, 3.6))
    axes.axis("off")
    path = Path(__file__).with_name("architecture.svg")
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()

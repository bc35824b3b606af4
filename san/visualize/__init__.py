"""Pictures of a segmentation, for people."""

from san.visualize.comparison import draw_comparison
from san.visualize.label_map import class_shares
from san.visualize.overlay import draw_overlay

__all__ = ["class_shares", "draw_comparison", "draw_overlay"]

"""Make the registered files of data sets from what their authors publish."""

from .command import RECIPES, choose, prepare

__all__ = ["RECIPES", "choose", "prepare"]

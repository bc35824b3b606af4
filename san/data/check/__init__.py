"""Look a data set over before hours are spent on it: ``san datasets check``."""

from .run import check_dataset

__all__ = ["check_dataset"]

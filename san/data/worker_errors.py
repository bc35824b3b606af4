"""Bring a user's mistake out of a data loader's worker process without its stack trace.

A DataLoader raises what a worker raised with the worker's trace as the message. So here the
mapper returns a UserError as an item, and the consuming process raises it.
"""

from san.errors import UserError


class CatchUserError:
    """A mapper that returns a UserError in place of raising it; picklable for worker processes."""

    def __init__(self, mapper):
        """
        Args:
            mapper (callable): record -> model input.
        """
        self.mapper = mapper

    def __call__(self, record):
        try:
            return self.mapper(record)
        except UserError as error:
            return error


def raise_user_error(batch):
    """Pass on a batch (list) of mapped items, or raise the first UserError among them."""
    for item in batch:
        if isinstance(item, UserError):
            raise item
    return batch

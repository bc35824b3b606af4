"""Check whole data sets, on all cores."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from detectron2.data import MetadataCatalog
from tqdm import tqdm

from san.data.build import find_dataset
from san.data.tasks import SEM_SEG, TASKS, task_of
from san.errors import UserError

from .files import Inventory, take_inventory
from .images import Tally, inspect

_AHEAD = 4  # images in work per thread


@dataclass(frozen=True)
class Report:
    """What the check of one data set found.

    Attributes:
        name: registered name.
        class_names: its classes.
        ignore_label: id of pixels that do not count.
        inventory: its files.
        tally: what is in them; None where there are no files.
        usable: records of the images that can be used, among those looked at.
    """

    name: str
    class_names: list
    ignore_label: int
    inventory: Inventory
    tally: Tally | None
    usable: list

    @property
    def problems(self):
        """All that is wrong, one message each; first what concerns the whole data set."""
        return [*self.inventory.problems, *(self.tally.problems if self.tally else ())]


def check_dataset(name, limit=None, num_workers=None, subset=False):
    """Look over every image and label map of a data set.

    Args:
        name (str): registered name, or a file that `register_file` takes.
        limit (int): open only so many images, at even steps; None: all.
        num_workers (int): threads; None: one per core.
        subset (bool): fewer images than published are no problem.
    Returns:
        Report
    Raises:
        UserError: an unknown name, a data set of another task, a mistake in a data set file.
    """
    find_dataset(name, "san datasets check")
    if task_of(name) != SEM_SEG:
        raise UserError(
            f"'{name}' is a data set of {TASKS[task_of(name)].title}; only those of "
            f"{TASKS[SEM_SEG].title} can be checked"
        )
    metadata = MetadataCatalog.get(name)
    inventory = take_inventory(name, subset)
    class_names = list(metadata.stuff_classes)
    if inventory.records is None:
        return Report(name, class_names, metadata.ignore_label, inventory, None, [])
    records = spread(inventory.records, limit)
    tally, usable = Tally(len(class_names)), []
    # Threads suffice: decoding, nearly all of the work, runs outside the interpreter lock.
    contents = _map_ahead(lambda record: inspect(record, metadata), records, num_workers)
    for record, content in zip(
        records, tqdm(contents, name, len(records), unit="image", disable=None), strict=True
    ):
        tally.add(content)
        if content.problem is None:
            usable.append(record)
    return Report(name, class_names, metadata.ignore_label, inventory, tally, usable)


def spread(items, count):
    """``count`` of the items at even steps, all where that is None or more than there are."""
    if count is None or count >= len(items):
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def _map_ahead(function, items, num_workers):
    """``map(function, items)`` in threads, which work only a little ahead of what is taken."""
    num_workers = num_workers or os.cpu_count() or 1
    with ThreadPoolExecutor(num_workers) as pool:
        pending = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= _AHEAD * num_workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)  # on Ctrl-C: finish the images begun, no more

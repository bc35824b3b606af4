"""``san datasets prepare``: plan, make, and report."""

import os
import sys
from collections import Counter

from san.errors import UserError

from ..datasets import DATASETS, datasets_root
from .ade20k import ADE20K_150
from .ade20k_full import ADE20K_847
from .cityscapes import CITYSCAPES
from .coco import OBJECT, STUFF
from .pascal_context import CONTEXT_59, CONTEXT_60, CONTEXT_459
from .run import run_all
from .sample import KEPT, LEFT_OUT, MADE
from .sources import Sources
from .voc import VOC_20, VOC_20B, VOC_21

RECIPES = {
    "coco_stuff": STUFF,
    "coco_object": OBJECT,
    "ade20k_150": ADE20K_150,
    "ade20k_847": ADE20K_847,
    "pascal_context_59": CONTEXT_59,
    "pascal_context_60": CONTEXT_60,
    "pascal_context_459": CONTEXT_459,
    "voc_20": VOC_20,
    "voc_21": VOC_21,
    "voc_20b": VOC_20B,
    "cityscapes": CITYSCAPES,
}


def choose(names):
    """{registered name: Recipe} of names of recipes or of registered splits, or "all".

    Raises:
        UserError: an unknown name.
    """
    splits = {split: recipe for recipe in RECIPES.values() for split in recipe.splits}
    chosen = {}
    for name in names:
        if name == "all":
            chosen |= splits
        elif name in RECIPES:
            chosen |= dict.fromkeys(RECIPES[name].splits, RECIPES[name])
        elif name in splits:
            chosen[name] = splits[name]
        else:
            raise UserError(
                f"'{name}' is no data set that can be prepared; choose from all, "
                f"{', '.join(RECIPES)}, or for one split {', '.join(splits)}"
            )
    return chosen


def prepare(names, root=None, archives=None, num_workers=None, subset=False):
    """Make the registered files of data sets out of what their authors publish.

    Prints a line for each split and one for each thing that went wrong. Run it again after an
    interruption: what is done is kept.

    Args:
        names (list[str]): see `choose`.
        root (Path | None): folder of all data sets; None: `datasets_root`.
        archives (Path | None): where the archives, or what was unpacked from them, are; None:
            ``root``.
        num_workers (int | None): processes; None: one for each core.
        subset (bool): True where the source holds only some of the published images on purpose.
    Returns:
        int: exit status; 0, 1 if files failed or are missing, 2 if a download is missing.
    Raises:
        UserError: an unknown name, no such folder of archives, or a bad number of processes.
    """
    chosen = choose(names)
    options = "".join([f" --root {root}" if root else "", " --subset" if subset else ""])
    root = datasets_root() if root is None else root
    archives = root if archives is None else archives
    num_workers = os.cpu_count() if num_workers is None else num_workers
    if num_workers < 1:
        raise UserError(f"--num-workers is {num_workers}; give 1 or more")
    if not archives.is_dir():
        raise UserError(f"the folder {archives} does not exist; name the one with the archives")
    status, done = 0, []
    with Sources(root, archives) as sources:
        for name, recipe in chosen.items():
            try:
                failures = _prepare_split(name, recipe, sources, num_workers, subset)
            except UserError as error:
                print(f"error: {name}: {error}", file=sys.stderr)
                status = 2
            else:
                status = max(status, 1 if failures else 0)
                done.append(name)
    if done:
        print(f"next: `san datasets check {' '.join(done)}{options}` looks them over")
    return status


def _prepare_split(name, recipe, sources, num_workers, subset):
    """Make one split and report on it -> list of messages about what failed."""
    samples, problems = recipe.plan(DATASETS[name], sources)
    if not subset:
        problems += _check_count(DATASETS[name], len(samples))
    results, errors = run_all(samples, num_workers, name)
    count = Counter(results)
    left_out = f", {count[LEFT_OUT]} without any class left out" if count[LEFT_OUT] else ""
    print(
        f"{name}: {count[MADE]} images and label maps made, {count[KEPT]} kept{left_out}, "
        f"{len(errors)} failed"
    )
    failures = problems + errors
    for failure in failures:
        print(f"failed: {failure}")
    return failures


def _check_count(dataset, num_samples):
    if num_samples in dataset.num_images:
        return []
    published = " or ".join(map(str, dataset.num_images))
    return [
        f"{dataset.name} has {num_samples} images with label maps here, and {published} as "
        "published: the archive was unpacked in part, or is another edition; unpack or download "
        "it anew, or say --subset if this is on purpose"
    ]

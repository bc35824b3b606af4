"""Register the data sets of the published SAN evaluation under their published names.

``datasets/README.md`` shows the folders. The root is the environment variable
``DETECTRON2_DATASETS`` (default ``datasets``), read whenever a data set is loaded. Importing this
module reads the lists of class names and no data.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from detectron2.data import DatasetCatalog, MetadataCatalog

from san.errors import UserError

from .categories import read_categories

ROOT_VARIABLE = "DETECTRON2_DATASETS"


def datasets_root():
    """Folder that holds all data sets, from ``DETECTRON2_DATASETS`` at the time of the call."""
    return Path(os.environ.get(ROOT_VARIABLE) or "datasets").expanduser()


@dataclass(frozen=True)
class SemSegDataset:
    """One registered split: where its files lie below the root, and what its labels mean.

    Attributes:
        name: registered name.
        image_dir, label_dir: folders below the root; a label map has the image's file name.
        categories: name for `read_categories`, None for Detectron2's own class names.
        label_suffix: ".png" (8 bit) or ".tif" (16 bit).
        ignore_label: id of unlabeled pixels.
        images_without_labels: True where the image folder serves other tasks too, so that only
            images with a label map belong to the split.
        how_to_get: what to do when the files are missing.
    """

    name: str
    image_dir: str
    label_dir: str
    categories: str | None
    label_suffix: str = ".png"
    ignore_label: int = 255
    images_without_labels: bool = False
    how_to_get: str = "datasets/README.md shows the expected folders and where to get the files"

    def load(self):
        """List the files of the split, sorted by name.

        Returns:
            list of {"file_name": str, "sem_seg_file_name": str}.
        Raises:
            UserError: a folder is missing or empty, or images and label maps do not pair up.
        """
        images = self._files(self.image_dir, ".jpg")
        labels = self._files(self.label_dir, self.label_suffix)
        self._check_pairs(images, labels)
        return [
            {"file_name": str(images[stem]), "sem_seg_file_name": str(labels[stem])}
            for stem in sorted(labels)
        ]

    def _files(self, directory, suffix):
        """Files of one folder by their name without suffix; hidden files do not count."""
        folder = datasets_root() / directory
        files = {path.stem: path for path in folder.glob(f"[!.]*{suffix}")}
        if not files:
            problem = f"holds no {suffix} files" if folder.is_dir() else "does not exist"
            raise UserError(
                f"data set '{self.name}': the folder {folder} {problem}; {self.how_to_get} "
                f"(the root is {ROOT_VARIABLE}={datasets_root()})"
            )
        return files

    def _check_pairs(self, images, labels):
        without_image = sorted(labels.keys() - images.keys())
        without_labels = sorted(images.keys() - labels.keys())
        if without_image:
            self._refuse("label maps have no image", labels, without_image, self.image_dir)
        if without_labels and not self.images_without_labels:
            self._refuse("images have no label map", images, without_labels, self.label_dir)

    def _refuse(self, problem, files, stems, other_dir):
        shown = ", ".join(str(files[stem]) for stem in stems[:3])
        more = ", ..." if len(stems) > 3 else ""
        raise UserError(
            f"data set '{self.name}': {len(stems)} {problem} of the same name in "
            f"{datasets_root() / other_dir}: {shown}{more}; add the missing files or remove "
            f"these ({self.how_to_get})"
        )


def _coco_stuff(split, folder):
    return SemSegDataset(
        name=f"coco_2017_{split}_stuff_sem_seg",
        image_dir=f"coco/{folder}",
        label_dir=f"coco/stuffthingmaps_detectron2/{folder}",
        categories="coco_stuff_171",
        how_to_get="after downloading COCO-Stuff as datasets/README.md says, make the label maps "
        "with `python datasets/prepare_coco_stuff.py`",
    )


def _voc(split):
    return SemSegDataset(
        name=f"voc_sem_seg_{split}",
        image_dir="VOC2012/JPEGImages",
        label_dir=f"VOC2012/annotations_detectron2/{split}",
        categories="voc_20",
        images_without_labels=True,  # JPEGImages holds the images of all VOC tasks
    )


def _pascal_context(split):
    return SemSegDataset(
        name=f"pcontext_sem_seg_{split}",
        image_dir=f"pcontext/{split}/image",
        label_dir=f"pcontext/{split}/label",
        categories="pascal_context_59",
    )


def _pascal_context_full(split):
    return SemSegDataset(
        name=f"pcontext_full_sem_seg_{split}",
        image_dir=f"pcontext_full/{split}/image",
        label_dir=f"pcontext_full/{split}/label",
        categories="pascal_context_459",
        label_suffix=".tif",
        ignore_label=65535,
    )


def _ade20k(split, folder):
    return SemSegDataset(
        name=f"ade20k_sem_seg_{split}",
        image_dir=f"ADEChallengeData2016/images/{folder}",
        label_dir=f"ADEChallengeData2016/annotations_detectron2/{folder}",
        categories=None,
    )


def _ade20k_full(split, folder):
    return SemSegDataset(
        name=f"ade20k_full_sem_seg_{split}",
        image_dir=f"ADE20K_2021_17_01/images_detectron2/{folder}",
        label_dir=f"ADE20K_2021_17_01/annotations_detectron2/{folder}",
        categories="ade20k_847",
        label_suffix=".tif",
        ignore_label=65535,
    )


DATASETS = {
    dataset.name: dataset
    for dataset in (
        _coco_stuff("train", "train2017"),
        _coco_stuff("test", "val2017"),
        _voc("train"),
        _voc("val"),
        _pascal_context("train"),
        _pascal_context("val"),
        _pascal_context_full("train"),
        _pascal_context_full("val"),
        _ade20k("train", "training"),
        _ade20k("val", "validation"),
        _ade20k_full("train", "training"),
        _ade20k_full("val", "validation"),
    )
}


def _register(dataset):
    metadata = MetadataCatalog.get(dataset.name)
    if dataset.categories is None:
        # Detectron2's entry: its metadata stays; only the file list is ours, for the same errors
        # and the same root as everywhere.
        DatasetCatalog.remove(dataset.name)
    else:
        names, raw_ids = read_categories(dataset.categories)
        metadata.set(
            stuff_classes=names,
            ignore_label=dataset.ignore_label,
            evaluator_type="sem_seg",
            image_root=str(datasets_root() / dataset.image_dir),
            sem_seg_root=str(datasets_root() / dataset.label_dir),
        )
        if raw_ids:
            metadata.stuff_dataset_id_to_contiguous_id = {
                raw_id: index for index, raw_id in enumerate(raw_ids)
            }
    DatasetCatalog.register(dataset.name, dataset.load)


for _dataset in DATASETS.values():
    _register(_dataset)

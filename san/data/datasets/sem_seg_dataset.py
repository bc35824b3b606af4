"""One registered split of a data set with label maps, and the folder that all data sets lie in."""

import os
from dataclasses import dataclass
from pathlib import Path

from san.errors import UserError

from .pairing import UnpairedError

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
        label_suffix: how label maps are called after the name: ".png" (8 bit), ".tif" (16 bit).
        ignore_label: id of unlabeled pixels.
        images_without_labels: True where the image folder serves other tasks too, so that only
            images with a label map belong to the split.
        how_to_get: what to do when the files are missing.
        image_suffix: how images are called after the name.
        in_folders: True where both folders hold one more level of folders (Cityscapes: cities).
        num_images: published numbers of images, more than one where there are several editions;
            empty where none is published.
    """

    name: str
    image_dir: str
    label_dir: str
    categories: str | None
    label_suffix: str = ".png"
    ignore_label: int = 255
    images_without_labels: bool = False
    how_to_get: str = "datasets/README.md shows the expected folders and where to get the files"
    image_suffix: str = ".jpg"
    in_folders: bool = False
    num_images: tuple[int, ...] = ()

    def load(self):
        """List the files of the split, sorted by name.

        Returns:
            list of {"file_name": str, "sem_seg_file_name": str}.
        Raises:
            UserError: a folder is missing or empty; UnpairedError: images and label maps do not
                pair up.
        """
        images = self._files(self.image_dir, self.image_suffix)
        labels = self._files(self.label_dir, self.label_suffix)
        records = [
            {"file_name": str(images[name]), "sem_seg_file_name": str(labels[name])}
            for name in sorted(labels.keys() & images.keys())
        ]
        self._check_pairs(images, labels, records)
        return records

    def _files(self, directory, suffix):
        """Files of one folder by their name without suffix; hidden files do not count."""
        folder = datasets_root() / directory
        pattern = f"*/[!.]*{suffix}" if self.in_folders else f"[!.]*{suffix}"
        files = {
            path.relative_to(folder).as_posix().removesuffix(suffix): path
            for path in folder.glob(pattern)
        }
        if not files:
            problem = f"holds no {suffix} files" if folder.is_dir() else "does not exist"
            raise UserError(
                f"data set '{self.name}': the folder {folder} {problem}; {self.how_to_get} "
                f"(the root is {ROOT_VARIABLE}={datasets_root()})"
            )
        return files

    def _check_pairs(self, images, labels, records):
        without_image = sorted(labels.keys() - images.keys())
        without_labels = sorted(images.keys() - labels.keys())
        if without_image:
            problem = "label maps have no image"
            self._refuse(problem, labels, without_image, self.image_dir, records)
        if without_labels and not self.images_without_labels:
            problem = "images have no label map"
            self._refuse(problem, images, without_labels, self.label_dir, records)

    def _refuse(self, problem, files, names, other_dir, records):
        shown = ", ".join(str(files[name]) for name in names[:3])
        more = ", ..." if len(names) > 3 else ""
        raise UnpairedError(
            f"data set '{self.name}': {len(names)} {problem} of the same name in "
            f"{datasets_root() / other_dir}: {shown}{more}; add the missing files or remove "
            f"these ({self.how_to_get})",
            records,
        )

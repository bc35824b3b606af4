"""How one data set is made, and what its sources lack."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from san.errors import UserError

from .blob import Blob
from .sample import Sample, check_image

_SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Files:
    """Sources of the images or of the label maps of one split.

    Attributes:
        blobs: {name: Blob | None}, None where a published list has a name and there is no file.
        where: archive or folder that they are in.
        remedy: what to do about missing ones.
    """

    blobs: dict[str, Blob | None]
    where: Path
    remedy: str


@dataclass(frozen=True)
class Recipe:
    """From downloads to the splits of one data set.

    Attributes:
        splits: {registered name: name of the split in the downloads}.
        find: (Sources, split) -> (Files of images, Files of label maps); names in both are those
            of the registered files.
        make_label: see `Sample`.
        make_image: see `Sample`.
    """

    splits: dict[str, str]
    find: Callable
    make_label: Callable
    make_image: Callable = field(default=check_image)

    def plan(self, dataset, sources):
        """What there is to do for one registered split.

        Args:
            dataset (SemSegDataset): says where the files go.
            sources (Sources)
        Returns:
            samples (list[Sample]), problems (list[str]): files without their counterpart.
        Raises:
            UserError: a download is missing or damaged, or has nothing of the split.
        """
        split = self.splits[dataset.name]
        images, labels = self.find(sources, split)
        names = sorted(images.blobs.keys() | labels.blobs.keys())
        if not names:
            raise UserError(f"{images.where} holds no files of '{split}'; {images.remedy}")
        samples = [
            Sample(
                images.blobs[name],
                labels.blobs[name],
                sources.root / dataset.image_dir / (name + dataset.image_suffix),
                sources.root / dataset.label_dir / (name + dataset.label_suffix),
                self.make_image,
                self.make_label,
            )
            for name in names
            if images.blobs.get(name) and labels.blobs.get(name)
        ]
        problems = [
            f"{len(lacking)} of {len(names)} {kind} are missing in {files.where}: "
            f"{', '.join(lacking[:_SHOWN])}{', ...' if len(lacking) > _SHOWN else ''}; "
            f"{files.remedy}"
            for kind, files in (("images", images), ("label maps", labels))
            if (lacking := [name for name in names if not files.blobs.get(name)])
        ]
        return samples, problems


def listed(files, names, pattern):
    """Files of a published list.

    Args:
        files (ArchiveFiles | FolderFiles)
        names (iterable[str])
        pattern (str): of the file names in ``files``, with {} for the name.
    """
    blobs = {name: files.get(pattern.format(name)) for name in names}
    return Files(blobs, files.where, files.remedy)


def found(files, folder, suffix):
    """All files at any depth of a folder whose names end so, by their names without these."""
    return listed(files, files.names(folder, suffix), folder + "{}" + suffix)

"""Register the data sets of the published evaluations under their published names.

``datasets/README.md`` shows the folders, and ``san datasets prepare`` makes them. The root is the
environment variable ``DETECTRON2_DATASETS`` (default ``datasets``), read whenever a data set is
loaded. Importing this module reads the lists of class names and no data.
"""

from detectron2.data import DatasetCatalog, MetadataCatalog

from .categories import read_categories
from .sem_seg_dataset import SemSegDataset, datasets_root


def _dataset(name, image_dir, label_dir, categories, prepared_by, num_images, **rest):
    """One split whose files ``san datasets prepare`` makes."""
    how_to_get = (
        "download what datasets/README.md names for it, then run "
        f"`san datasets prepare {prepared_by}`"
    )
    return SemSegDataset(
        name, image_dir, label_dir, categories, how_to_get=how_to_get, num_images=num_images, **rest
    )


def _coco_stuff(split, folder, num_images):
    return _dataset(
        f"coco_2017_{split}_stuff_sem_seg",
        f"coco/{folder}",
        f"coco/stuffthingmaps_detectron2/{folder}",
        "coco_stuff_171",
        "coco_stuff",
        (num_images,),
    )


def _coco_object():
    """The 80 things of COCO-Stuff, and all else as background, which counts."""
    return _dataset(
        "coco_object_sem_seg_val",
        "coco/val2017",
        "coco/stuffthingmaps_object/val2017",
        "coco_object_81",
        "coco_object",
        (5000,),
    )


def _voc(name, split, folder, classes, num_images):
    return _dataset(
        f"{name}_sem_seg_{split}",
        "VOC2012/JPEGImages",
        f"VOC2012/{folder}/{split}",
        f"voc_{classes}",
        f"voc_{classes}",
        num_images,
        images_without_labels=True,  # JPEGImages holds the images of all VOC tasks
    )


def _pascal_context(name, split, folder, classes):
    return _dataset(
        f"{name}_sem_seg_{split}",
        f"pcontext/{split}/image",
        f"pcontext/{split}/{folder}",
        f"pascal_context_{classes}",
        f"pascal_context_{classes}",
        PASCAL_CONTEXT_IMAGES[split],
    )


def _pascal_context_full(split):
    return _dataset(
        f"pcontext_full_sem_seg_{split}",
        f"pcontext_full/{split}/image",
        f"pcontext_full/{split}/label",
        "pascal_context_459",
        "pascal_context_459",
        PASCAL_CONTEXT_IMAGES[split],
        label_suffix=".tif",
        ignore_label=65535,
    )


def _ade20k(split, folder, num_images):
    return _dataset(
        f"ade20k_sem_seg_{split}",
        f"ADEChallengeData2016/images/{folder}",
        f"ADEChallengeData2016/annotations_detectron2/{folder}",
        None,
        "ade20k_150",
        (num_images,),
    )


def _ade20k_full(split, folder, num_images):
    return _dataset(
        f"ade20k_full_sem_seg_{split}",
        f"ADE20K_2021_17_01/images_detectron2/{folder}",
        f"ADE20K_2021_17_01/annotations_detectron2/{folder}",
        "ade20k_847",
        "ade20k_847",
        (num_images,),
        label_suffix=".tif",
        ignore_label=65535,
    )


def _cityscapes(split, num_images):
    return _dataset(
        f"cityscapes_fine_sem_seg_{split}",
        f"cityscapes/leftImg8bit/{split}",
        f"cityscapes/gtFine/{split}",
        "cityscapes_19",
        "cityscapes",
        (num_images,),
        image_suffix="_leftImg8bit.png",
        label_suffix="_gtFine_labelTrainIds.png",
        in_folders=True,
    )


# Of the VOC 2010 lists, and of the edition that leaves out three images without any of the classes
PASCAL_CONTEXT_IMAGES = {"train": (4998, 4996), "val": (5105, 5104)}
VOC_TRAIN = (10582, 1464)  # with the labels of SBD, and without
DATASETS = {
    dataset.name: dataset
    for dataset in (
        _coco_stuff("train", "train2017", 118287),
        _coco_stuff("test", "val2017", 5000),
        _coco_object(),
        _voc("voc", "train", "annotations_detectron2", "20", VOC_TRAIN),
        _voc("voc", "val", "annotations_detectron2", "20", (1449,)),
        _voc("voc21", "val", "annotations_detectron2_voc21", "21", (1449,)),
        _voc("voc20b", "val", "annotations_detectron2_bg", "20b", (1449,)),
        _pascal_context("pcontext", "train", "label", "59"),
        _pascal_context("pcontext", "val", "label", "59"),
        _pascal_context("pcontext60", "val", "label60", "60"),
        _pascal_context_full("train"),
        _pascal_context_full("val"),
        _ade20k("train", "training", 20210),
        _ade20k("val", "validation", 2000),
        _ade20k_full("train", "training", 25574),
        _ade20k_full("val", "validation", 2000),
        _cityscapes("train", 2975),
        _cityscapes("val", 500),
    )
}


def _register(dataset):
    if dataset.name in DatasetCatalog:  # Detectron2's entry: the file list is ours, for the
        DatasetCatalog.remove(dataset.name)  # same errors and the same root as everywhere
    if dataset.categories is not None:
        _set_metadata(dataset)
    DatasetCatalog.register(dataset.name, dataset.load)


def _set_metadata(dataset):
    names, raw_ids = read_categories(dataset.categories)
    MetadataCatalog.pop(dataset.name, None)
    metadata = MetadataCatalog.get(dataset.name)
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


for _split in DATASETS.values():
    _register(_split)

"""Register a data set of the user's own, from a file that describes it (`yaml_file`)."""

from functools import partial
from pathlib import Path

from detectron2.data import DatasetCatalog, MetadataCatalog

from san.dataset_names import parse_yaml_name
from san.errors import UserError

from .coco_json import instance_records, panoptic_records, read_coco
from .coco_readers import InstanceReader, PanopticReader
from .label_readers import ColorReader, IdReader, ignore_id
from .pairing import find_files, pair_files
from .yaml_file import check_classes, check_name, read_yaml_file


def register_yaml(name):
    """Register the data set that a YAML file describes under its path, and ":SPLIT" if it has any.

    The file is read at once, images and label maps are looked for when the data set is loaded.

    Raises:
        UserError: the file is missing or has a mistake.
    """
    path, split = parse_yaml_name(name)
    path = Path(path).expanduser()
    data = read_yaml_file(path, split)
    if "annotations" in data:
        _register_coco(name, path, data)
    else:
        _register_folders(name, path, data)


def register_coco_json(name):
    """Register a COCO JSON file under its path; its images are relative to its folder.

    Raises:
        UserError: the file is missing or of another form.
    """
    path = Path(name).expanduser()
    _register_coco(name, path, {"images": ".", "annotations": path.name})


def _register_folders(name, source, data):
    names = list(data["classes"].values())
    ignored = ignore_id(len(names))
    if "palette" in data:
        ids = {color: index for index, color in enumerate(data["palette"])}
        ids |= dict.fromkeys(data.get("ignore_color", ()), ignored)
        reader = ColorReader(ids, str(source))
    else:
        ids = {value: index for index, value in enumerate(data["classes"])}
        by_default = () if ignored in ids else (ignored,)
        ids |= dict.fromkeys(data.get("ignore_label", by_default), ignored)
        reader = IdReader(ids, str(source))
    load = partial(_load_folders, source, data)
    _register(name, source, data, names, load, reader)


def _load_folders(source, data):
    image_dir, label_dir = source.parent / data["images"], source.parent / data["labels"]
    image_suffix, label_suffix = data.get("image_suffix"), data.get("label_suffix")
    images, labels = find_files(image_dir, image_suffix), find_files(label_dir, label_suffix)
    if image_dir == label_dir and label_suffix:
        images = {k: path for k, path in images.items() if not path.name.endswith(label_suffix)}
    if "names" in data:
        names_file = source.parent / data["names"]
        names = _read_names(names_file)
        images = _listed(names, images, f"images in {image_dir}", names_file)
        labels = _listed(names, labels, f"label maps in {label_dir}", names_file)
    return pair_files(
        images, labels, f"add the missing files to {image_dir} and {label_dir}, or remove these"
    )


def _listed(names, files, what, names_file):
    """The files whose names are listed; UserError where that leaves none."""
    listed = {key: path for key, path in files.items() if key in names}
    if not listed:
        raise UserError(
            f"none of the {len(names)} names in {names_file} is among the {len(files)} {what}; "
            "write one name per line, without suffix and relative to the folder"
        )
    return listed


def _read_names(path):
    """Names without suffix, from a text file with one per line -> set."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"`names`: {path} cannot be read ({getattr(error, 'strerror', None) or error}): write "
            "a text file with one image name per line"
        ) from None
    return {line.strip() for line in lines if line.strip()}


def _register_coco(name, source, data):
    path = source.parent / data["annotations"]
    coco = read_coco(path)
    categories = list(coco.categories.values())
    names = list((data["classes"] if "classes" in data else _classes_of(coco)).values())
    for class_name in names:
        if class_name != data.get("background"):
            check_name(class_name, categories, f"{source}: `classes`")
    background = None
    if "background" in data:
        if coco.is_panoptic:
            raise UserError(f"{source}: `background` is for instances, but {path} is panoptic")
        check_name(data["background"], names, f"{source}: `background`")
        background = names.index(data["background"])
    num_classes = len(names)
    reader = (
        PanopticReader(num_classes) if coco.is_panoptic else InstanceReader(num_classes, background)
    )
    _register(name, source, data, names, partial(_load_coco, source, data, names), reader)


def _classes_of(coco):
    try:
        return check_classes(list(coco.categories.values()))
    except UserError as error:
        raise UserError(f"{coco.path}: {error}; rename the category in the file") from None


def _load_coco(source, data, names):
    coco = read_coco(source.parent / data["annotations"])
    ids = {key: names.index(name) for key, name in coco.categories.items() if name in names}
    image_dir = source.parent / data["images"]
    listed = _read_names(source.parent / data["names"]) if "names" in data else None
    if not coco.is_panoptic:
        return instance_records(coco, ids, image_dir, listed, keep_empty="background" in data)
    label_dir = source.parent / data.get("labels", Path(data["annotations"]).with_suffix(""))
    return panoptic_records(coco, ids, image_dir, label_dir, listed)


def _register(name, source, data, class_names, load, reader):
    for seen in data.get("seen", ()):
        check_name(seen, class_names, f"{source}: `seen`")
    DatasetCatalog.register(name, load)
    metadata = MetadataCatalog.get(name)
    metadata.set(
        stuff_classes=class_names,
        ignore_label=ignore_id(len(class_names)),
        evaluator_type="sem_seg",
        label_reader=reader,
        image_root=str(source.parent / data["images"]),
    )
    if "seen" in data:
        metadata.seen = [class_name in data["seen"] for class_name in class_names]
    if "palette" in data:
        metadata.stuff_colors = [list(color.to_bytes(3, "big")) for color in data["palette"]]

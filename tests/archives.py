"""Miniature data sets as their authors publish them: real zip and tar archives in their layouts.

File names, folders and ids are written out here and not taken from the package, so that a test
which reads these archives checks the package's own idea of them. Each writer returns
{split: {name: (H, W) published ids}}.
"""

import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from tests.miniatures import draw_scene, to_ids

# {class name: published id}
COCO = {"person": 0, "car": 2, "teddy bear": 87, "grass": 123, "sky-other": 156, "wood": 181}
VOC = {"background": 0, "aeroplane": 1, "car": 7, "dog": 12, "tv": 20}
CONTEXT = {"aeroplane": 2, "table": 397, "grass": 187, "accordion": 1, "wool": 459, "wood": 458}
ADE20K = {"wall": 1, "sky": 3, "car": 21, "flag": 150}
ADE20K_FULL = {"wall": 2978, "sky": 2420, "tree": 2855, "adding machine": 3148, "a rare one": 1500}
CITYSCAPES = {"road": 7, "sky": 23, "car": 26, "bicycle": 33, "ego vehicle": 1, "trailer": 30}
UNLABELED = {"coco": 255, "voc": 255, "context": 0, "ade20k": 0, "cityscapes": 0}


def write_coco(folder, num_train=2, num_val=2):
    """train2017.zip, val2017.zip, stuffthingmaps_trainval2017.zip."""
    published, maps = {}, {}
    for split, count in (("train2017", num_train), ("val2017", num_val)):
        images, published[split] = _scenes(COCO, "coco", split, "{:012d}", count)
        write_zip(
            folder / f"{split}.zip",
            {f"{split}/{name}.jpg": jpeg(image) for name, image in images.items()},
        )
        maps |= {f"{split}/{name}.png": png(ids) for name, ids in published[split].items()}
    write_zip(folder / "stuffthingmaps_trainval2017.zip", maps)
    return published


def write_voc(folder, count=3, year="2012", archive="VOCtrainval_11-May-2012.tar"):
    """VOC 2012 with palette label maps; one image of it is of other tasks."""
    top, files, published = f"VOCdevkit/VOC{year}", {}, {}
    for split in ("train", "val"):
        images, published[split] = _scenes(VOC, "voc", split, f"{year}_{split}_{{}}", count)
        files |= {f"{top}/JPEGImages/{name}.jpg": jpeg(image) for name, image in images.items()}
        for name, ids in published[split].items():
            files[f"{top}/SegmentationClass/{name}.png"] = png(ids, palette=True)
        lines = "".join(f"{name}\n" for name in images)
        files[f"{top}/ImageSets/Segmentation/{split}.txt"] = lines.encode()
    files[f"{top}/JPEGImages/2012_detection.jpg"] = jpeg(draw_scene(list(VOC), "detection")[0])
    write_tar(folder / archive, files)
    return published


def write_sbd(folder, published):
    """SegmentationClassAug.zip: gray maps of train, one more image of VOC, and val."""
    extra = {"2012_detection": np.full(_size("detection"), 20, np.uint8)}
    maps = {**published["train"], **published["val"], **extra}
    files = {f"SegmentationClassAug/{name}.png": png(ids) for name, ids in maps.items()}
    write_zip(folder / "SegmentationClassAug.zip", {**files, "__MACOSX/._x.png": b"\0"})


def write_context(folder, count=2):
    """VOC 2010 and trainval.tar.gz with a MATLAB file for each image."""
    top, files, mats, published = "VOCdevkit/VOC2010", {}, {}, {}
    for split in ("train", "val"):
        images, published[split] = _scenes(CONTEXT, "context", split, f"2008_{split}_{{}}", count)
        files |= {f"{top}/JPEGImages/{name}.jpg": jpeg(image) for name, image in images.items()}
        lines = "".join(f"{name}\n" for name in images)
        files[f"{top}/ImageSets/Main/{split}.txt"] = lines.encode()
        mats |= {f"trainval/{name}.mat": mat(ids) for name, ids in published[split].items()}
    write_tar(folder / "VOCtrainval_03-May-2010.tar", files)
    write_tar(folder / "trainval.tar.gz", mats)
    return published


def write_ade20k(folder, count=2):
    """ADEChallengeData2016.zip."""
    top, published = "ADEChallengeData2016", {}
    files = {f"{top}/objectInfo150.txt": b"Idx\tName\n"}
    for split, short in (("training", "train"), ("validation", "val")):
        name = f"ADE_{short}_{{:08d}}"
        images, published[split] = _scenes(ADE20K, "ade20k", split, name, count)
        for stem, image in images.items():
            files[f"{top}/images/{split}/{stem}.jpg"] = jpeg(image)
            files[f"{top}/annotations/{split}/{stem}.png"] = png(published[split][stem])
    write_zip(folder / f"{top}.zip", files)
    return published


def write_ade20k_full(folder, count=2, scale=1):
    """ADE20K_2021_17_01.zip with its pickled index; pixels repeat ``scale`` times."""
    top, files, published = "ADE20K_2021_17_01", {}, {}
    folders, names = [], []
    for split, short in (("training", "train"), ("validation", "val")):
        name = f"ADE_{short}_{{:08d}}"
        images, published[split] = _scenes(ADE20K_FULL, "ade20k", split, name, count)
        for stem, image in images.items():
            ids = published[split][stem] = _repeat(published[split][stem], scale)
            place = f"{top}/images/ADE/{split}/urban/street"
            files[f"{place}/{stem}.jpg"] = jpeg(_repeat(image, scale))
            files[f"{place}/{stem}_seg.png"] = png(ade_colors(ids))
            files[f"{place}/{stem}_parts_1.png"] = png(np.zeros_like(ade_colors(ids)))
            folders.append(place)
            names.append(f"{stem}.jpg")
    index = {
        "filename": names,
        "folder": folders,
        "objectPresence": np.zeros((3, len(names)), np.uint8),  # NumPy objects, as published
        "description": {"folder": "folder of each image"},
    }
    files[f"{top}/index_ade20k.pkl"] = pickle.dumps(index)
    write_zip(folder / f"{top}.zip", files)
    return published


def write_cityscapes(folder, count=2):
    """leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip."""
    images_of, files, published = {}, {}, {}
    for split, city in (("train", "aachen"), ("val", "lindau")):
        name = f"{city}/{city}_{{:06d}}_000019"
        images, published[split] = _scenes(CITYSCAPES, "cityscapes", split, name, count)
        for stem, image in images.items():
            images_of[f"leftImg8bit/{split}/{stem}_leftImg8bit.png"] = png(image)
            ids = published[split][stem]
            files[f"gtFine/{split}/{stem}_gtFine_labelIds.png"] = png(ids)
            files[f"gtFine/{split}/{stem}_gtFine_instanceIds.png"] = png(ids.astype(np.uint16))
            files[f"gtFine/{split}/{stem}_gtFine_polygons.json"] = b"{}"
    write_zip(folder / "leftImg8bit_trainvaltest.zip", images_of)
    write_zip(folder / "gtFine_trainvaltest.zip", files)
    return published


def write_zip(path, files):
    """Zip of {name: bytes}, with entries for folders as published ones have."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for parent in sorted({str(Path(name).parent) for name in files} - {"."}):
            archive.writestr(f"{parent}/", b"")
        for name, data in files.items():
            method = zipfile.ZIP_STORED if name.endswith(".jpg") else None
            archive.writestr(name, data, method)


def write_tar(path, files):
    """Tar of {name: bytes}, compressed where ``path`` says so."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def unpack(archive, folder):
    """Unpack a zip or tar, as a user would."""
    folder.mkdir(parents=True, exist_ok=True)
    if archive.suffix == ".zip":
        zipfile.ZipFile(archive).extractall(folder)
    else:
        with tarfile.open(archive) as opened:
            # Early versions of Python 3.10 and 3.11 have no filter
            opened.extractall(
                folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {})
            )


def jpeg(image):
    """(H, W, 3) uint8 -> bytes."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=95)
    return file.getvalue()


def png(pixels, palette=False):
    """(H, W) or (H, W, 3) -> bytes."""
    image, file = Image.fromarray(pixels), io.BytesIO()
    if palette:
        image.putpalette(bytes(range(256)) * 3)
    image.save(file, "PNG")
    return file.getvalue()


def mat(ids):
    """(H, W) ids -> bytes of a MATLAB file as PASCAL Context has them."""
    file = io.BytesIO()
    savemat(file, {"LabelMap": ids}, do_compression=True)
    return file.getvalue()


def ade_colors(ids):
    """(H, W) ADE ids -> (H, W, 3) uint8: id = R // 10 * 256 + G; B numbers the instances."""
    red, green = ids // 256 * 10 + 3, ids % 256
    return np.stack([red, green, np.full_like(ids, 7)], -1).astype(np.uint8)


def _scenes(classes, kind, split, name, count):
    """Images {name: (H, W, 3)} and published ids {name: (H, W)} of a split."""
    dtype = np.uint16 if max(classes.values()) > 255 else np.uint8
    images, ids = {}, {}
    for index in range(1, count + 1):
        stem = name.format(index)
        images[stem], regions = draw_scene(list(classes), f"{kind}/{split}/{index}")
        ids[stem] = to_ids(regions, classes.values(), UNLABELED[kind], dtype)
    return images, ids


def _size(name):
    return draw_scene(list(VOC), name)[1].shape


def _repeat(pixels, scale):
    return pixels.repeat(scale, 0).repeat(scale, 1)

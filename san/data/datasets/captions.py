"""Captioned images: COCO's captions, and files of one JSON object per line.

A record is {"file_name": str, "captions": list[str], "content": str, "image_id": int}; images of
equal content are described by each other's captions too.
"""

import json
from pathlib import Path

from detectron2.data import DatasetCatalog, MetadataCatalog

from san.errors import UserError

from .sem_seg_dataset import datasets_root


def register_captions_jsonl(name, path, image_root=None):
    """Register the captions of a file under ``name``.

    Args:
        name (str)
        path (str): each line is {"file_name": str, "captions": [str, ...], "content": str}; without
            a content, an image is described by its own captions only.
        image_root (str): what "file_name" is relative to; None: the file's folder.

    Nothing is read before the data set is used; that raises a UserError for a missing file or a
    line of another form.
    """
    root = Path(path).parent if image_root is None else Path(image_root)
    DatasetCatalog.register(name, lambda: load_captions_jsonl(path, root))
    MetadataCatalog.get(name).set(evaluator_type="retrieval", image_root=str(root))


def load_captions_jsonl(path, image_root):
    """Records of a captions.jsonl file; see :func:`register_captions_jsonl`."""
    records = []
    for number, line in enumerate(_read(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
            file_name, captions = str(item["file_name"]), _captions(item["captions"])
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{path}, line {number}: {_reason(error)}; a line is "
                '{"file_name": "a.jpg", "captions": ["...", "..."], "content": "..."}'
            ) from None
        record = {"file_name": str(Path(image_root) / file_name), "captions": captions}
        content = str(item.get("content", file_name))
        records.append({**record, "content": content, "image_id": len(records)})
    return _not_empty(records, path)


def load_coco_captions(path, image_root):
    """Records of COCO's captions_*.json; an image is its own content.

    Raises:
        UserError: a file that is missing or of another form.
    """
    try:
        content = json.loads(_read(path))
        images = {image["id"]: (image["file_name"], []) for image in content["images"]}
        for annotation in content["annotations"]:
            images[annotation["image_id"]][1].append(annotation["caption"])
        records = [
            {
                "file_name": str(Path(image_root) / file_name),
                "captions": _captions(captions),
                "content": str(file_name),
                "image_id": image_id,
            }
            for image_id, (file_name, captions) in sorted(images.items())
            if captions
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: not a file of COCO captions ({_reason(error)}); take captions_*.json of "
            "annotations_trainval2017.zip"
        ) from None
    return _not_empty(records, path)


def _register_coco(split):
    name = f"coco_2017_{split}_captions"
    annotations, images = f"coco/annotations/captions_{split}2017.json", f"coco/{split}2017"
    DatasetCatalog.register(
        name,
        lambda: load_coco_captions(datasets_root() / annotations, datasets_root() / images),
    )
    MetadataCatalog.get(name).evaluator_type = "retrieval"


def _read(path):
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: cannot read the captions ({getattr(error, 'strerror', None) or error}); "
            "docs/clip_training.md shows where they are expected and what they look like"
        ) from None


def _captions(captions):
    """The list of captions, if it is one."""
    if not isinstance(captions, list) or not captions:
        raise ValueError("captions is not a list of one text or more")
    if not all(isinstance(caption, str) and caption.strip() for caption in captions):
        raise ValueError("a caption is empty or no text")
    return captions


def _reason(error):
    return f"there is no {error}" if isinstance(error, KeyError) else str(error)


def _not_empty(records, path):
    if not records:
        raise UserError(f"{path}: there is not one captioned image in it")
    return records


for _split in ("train", "val"):
    _register_coco(_split)

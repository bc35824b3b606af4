"""Label maps out of COCO's instance and panoptic JSON files."""

import json
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from pycocotools import mask as coco_mask

from san.data.datasets import load_labels
from san.data.datasets.pairing import UnpairedError
from san.data.tasks import metadata_of
from san.errors import UserError
from tests.own_data import save, write_yaml

H, W = 8, 12
CATEGORIES = [{"id": 9, "name": "dog"}, {"id": 3, "name": "cat"}, {"id": 5, "name": "lawn"}]


def box(left, top, right, bottom):
    """A rectangle as a polygon, of the pixels left..right-1, top..bottom-1."""
    return [left, top, right, top, right, bottom, left, bottom]


def write_json(root, annotations, images=None, categories=CATEGORIES, name="coco.json"):
    """Write root/NAME and an image for every image entry -> path of the JSON as str."""
    if images is None:
        images = [{"id": 1, "file_name": "a.png", "height": H, "width": W}]
    for image in images:
        save(np.zeros((H, W, 3), np.uint8), Path(root) / image["file_name"])
    path = Path(root) / name
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))
    return str(path)


def instance(id, category, segmentation, crowd=0):
    return {
        **{"id": id, "image_id": 1, "category_id": category, "iscrowd": crowd},
        "segmentation": segmentation,
    }


def labels_of(name, index=0):
    metadata = metadata_of(name)
    return load_labels(DatasetCatalog.get(name)[index], metadata)


def test_instances(tmp_path):
    """The classes are the categories by id; the smaller instance lies on the larger whatever their
    order, and a crowd under both although it is the smallest."""
    crowd = np.zeros((H, W), np.uint8)
    crowd[0, 3:12] = 1  # its first half lies under the dog
    counts = [int(run) for run in _runs(crowd)]
    rle = coco_mask.encode(np.asfortranarray(np.eye(H, W, 11, dtype=np.uint8)))
    rle = {"size": [H, W], "counts": rle["counts"].decode()}
    name = write_json(
        tmp_path,
        [
            instance(1, 3, [box(2, 2, 4, 4)]),  # cat, 4 pixels, in the dog
            instance(2, 9, [box(0, 0, 6, 4), box(0, 6, 2, 8)]),  # dog, two parts
            instance(3, 5, {"size": [H, W], "counts": counts}, crowd=1),  # lawn
            instance(4, 3, rle),  # cat, one pixel at (0, 11)
        ],
    )
    expected = np.full((H, W), 255)
    expected[0, 3:12] = 1
    expected[0:4, 0:6] = expected[6:8, 0:2] = 2
    expected[2:4, 2:4] = 0
    expected[0, 11] = 0
    np.testing.assert_array_equal(labels_of(name), expected)
    assert metadata_of(name).stuff_classes == ["cat", "lawn", "dog"]


def _runs(mask):
    """Uncompressed run lengths, column by column, zeros first."""
    flat = np.concatenate([[0], mask.flatten(order="F"), [-1]])
    edges = np.flatnonzero(np.diff(flat) != 0)
    return np.diff(np.concatenate([[0], edges]))


def test_chosen_classes_and_background(tmp_path):
    """In the file's own order; other categories do not count; what is in no instance is grass."""
    write_json(tmp_path, [instance(1, 3, [box(0, 0, 2, 2)]), instance(2, 9, [box(4, 4, 6, 6)])])
    options = {"images": ".", "labels": None, "annotations": "coco.json"}
    name = write_yaml(tmp_path, **options, classes=["grass", "cat"], background="grass")
    expected = np.zeros((H, W), int)
    expected[0:2, 0:2] = 1
    expected[4:6, 4:6] = 255
    np.testing.assert_array_equal(labels_of(name), expected)


def test_images_without_instance(tmp_path):
    """They belong to the data set only if their pixels have a class."""
    images = [
        {"id": i, "file_name": f"{i}.png", "height": H, "width": W, "other": 0} for i in (1, 2)
    ]
    name = write_json(tmp_path, [instance(1, 3, [box(0, 0, 2, 2)])], images)
    metadata_of(name)
    assert len(DatasetCatalog.get(name)) == 1
    options = {"images": ".", "labels": None, "annotations": "coco.json", "classes": None}
    name = write_yaml(tmp_path, **options, background="lawn")
    assert (labels_of(name, 1) == 1).all()


def panoptic(root, ids, segments, **others):
    """Write a panoptic JSON and its PNG with the segment ids (H, W) -> path of the JSON."""
    ids = np.asarray(ids)
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
    save(rgb, Path(root) / "coco" / "a.png")
    annotation = {"image_id": 1, "file_name": "a.png", "segments_info": segments}
    return write_json(root, [annotation], **others)


def test_panoptic(tmp_path):
    """Ids of up to three bytes, more segments than classes, void, and a crowd, which counts."""
    ids = np.zeros((H, W), int)
    ids[:2], ids[2:4], ids[4:6, :5] = 5, 5 + 256 * 7, 5 + 65536 * 200
    segments = [
        {"id": 5, "category_id": 9},
        {"id": 5 + 256 * 7, "category_id": 5, "iscrowd": 1},
        {"id": 5 + 65536 * 200, "category_id": 9},
    ]
    expected = np.full((H, W), 255)
    expected[:2], expected[2:4], expected[4:6, :5] = 2, 1, 2
    name = panoptic(tmp_path, ids, segments)
    np.testing.assert_array_equal(labels_of(name), expected)


def test_panoptic_with_folders_of_its_own(tmp_path):
    name = panoptic(tmp_path, np.full((H, W), 1), [{"id": 1, "category_id": 9}])
    Path(name).rename(tmp_path / "other.json")
    options = {"images": ".", "labels": "coco", "annotations": "other.json"}
    name = write_yaml(tmp_path, **options, classes=["dog"])
    assert (labels_of(name) == 0).all()
    (tmp_path / "list.txt").write_text("b\n")
    name = write_yaml(tmp_path, "b.yaml", **options, classes=["dog"], names="list.txt")
    with pytest.raises(UserError, match="not one annotated image in it among those that `names`"):
        labels_of(name)


def test_segment_that_the_json_lacks(tmp_path):
    ids = np.full((H, W), 1)
    ids[0] = 77
    name = panoptic(tmp_path, ids, [{"id": 1, "category_id": 9}])
    with pytest.raises(UserError, match=r"a.png: segments that the JSON.*77 \(12.50% of the pix"):
        labels_of(name)


def test_missing_files(tmp_path):
    name = panoptic(tmp_path, np.full((H, W), 1), [{"id": 1, "category_id": 9}])
    (tmp_path / "coco" / "a.png").unlink()
    metadata_of(name)
    with pytest.raises(UnpairedError, match=r"1 of its files are missing \(.*coco/a.png\)"):
        DatasetCatalog.get(name)


@pytest.mark.parametrize("segmentation, message", [
    ([], "a polygon needs three points"),
    ([[1, 1, 5, 5]], "a polygon needs three points"),
    (None, "neither polygons nor a mask, perhaps only a box"),
    ({"size": [H, W + 1], "counts": [1]}, r"its mask is of \[8, 13\], the image of \[8, 12\]"),
    ({"size": [H, W]}, "'counts'"),
])  # fmt: skip
def test_unusable_segmentation(tmp_path, segmentation, message):
    name = write_json(tmp_path, [instance(41, 3, segmentation)])
    with pytest.raises(UserError, match=rf"coco.json: annotation 41, of image .*a.png.*{message}"):
        labels_of(name)


@pytest.mark.parametrize("annotation, message", [
    ({"image_id": 1, "category_id": 4, "id": 6}, "segment 6 has the category 4, which"),
    ({"image_id": 2, "category_id": 3, "id": 6}, "annotation 6 is of image 2, which"),
])  # fmt: skip
def test_unknown_ids(tmp_path, annotation, message):
    with pytest.raises(UserError, match=message):
        labels_of(write_json(tmp_path, [annotation]))


@pytest.mark.parametrize("text, message", [
    ("{", "not a COCO file"),
    ("[1]", "not a COCO file"),
    ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, '
     '{"id": 2, "name": "A"}]}', "`classes`: 'A' stands twice"),
    ('{"images": [], "annotations": []}', "not a COCO file .*no 'categories'"),
    ('{"images": [], "annotations": [{"image_id": 1, "caption": "a"}], "categories": []}',
     "not a COCO file .*no 'category_id'"),
])  # fmt: skip
def test_another_json(tmp_path, text, message):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UserError, match=f"other.json: {message}"):
        metadata_of(str(path))
    with pytest.raises(UserError, match=r"none.json: cannot be read \(No such file"):
        metadata_of(str(tmp_path / "none.json"))


@pytest.mark.parametrize("keys, message", [
    ({"classes": ["cot"]}, "`classes`: there is no class 'cot'; did you mean 'cat'"),
    ({"background": "road"}, "`background`: there is no class 'road'; the classes are cat, lawn"),
    ({"palette": {"cat": "#000000"}}, "`palette` does not fit here.*the classes are in `annot"),
    ({"ignore_label": 3}, "`ignore_label` does not fit here"),
])  # fmt: skip
def test_mistakes_in_the_yaml(tmp_path, keys, message):
    write_json(tmp_path, [instance(1, 3, [box(0, 0, 2, 2)])])
    options = {"images": ".", "labels": None, "annotations": "coco.json", "classes": None}
    with pytest.raises(UserError, match=message):
        metadata_of(write_yaml(tmp_path, **{**options, **keys}))


def test_background_is_for_instances(tmp_path):
    panoptic(tmp_path, np.full((H, W), 1), [{"id": 1, "category_id": 9}])
    options = {"images": ".", "labels": None, "annotations": "coco.json", "classes": None}
    with pytest.raises(UserError, match="`background` is for instances, but .*coco.json is pan"):
        metadata_of(write_yaml(tmp_path, **options, background="dog"))

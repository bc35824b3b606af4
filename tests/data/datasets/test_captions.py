"""Captioned images from COCO's files and from captions.jsonl."""

import json

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from san.data.datasets import register_captions_jsonl
from san.errors import UserError
from tests.captions import WORDS, write_captions

COCO = {
    "images": [{"id": 9, "file_name": "b.jpg"}, {"id": 4, "file_name": "a.jpg"},
               {"id": 5, "file_name": "no_caption.jpg"}],
    "annotations": [
        {"image_id": 9, "id": 1, "caption": "A dog."},
        {"image_id": 4, "id": 2, "caption": "A cat."},
        {"image_id": 9, "id": 3, "caption": "A brown dog."},
    ],
}  # fmt: skip


@pytest.fixture
def write_coco(tmp_path, monkeypatch):
    """Function: text -> what the registered COCO captions then load."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))

    def write(text):
        path = tmp_path / "coco/annotations/captions_val2017.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return DatasetCatalog.get("coco_2017_val_captions")

    return write


def test_coco(write_coco, tmp_path):
    folder = tmp_path / "coco/val2017"
    assert write_coco(json.dumps(COCO)) == [
        {"file_name": str(folder / "a.jpg"), "captions": ["A cat."], "content": "a.jpg",
         "image_id": 4},
        {"file_name": str(folder / "b.jpg"), "captions": ["A dog.", "A brown dog."],
         "content": "b.jpg", "image_id": 9},
    ]  # fmt: skip
    assert MetadataCatalog.get("coco_2017_train_captions").evaluator_type == "retrieval"


@pytest.mark.parametrize(("text", "message"), [
    ("{", r"captions_val2017\.json: not a file of COCO captions .*annotations_trainval2017"),
    ("[]", "not a file of COCO captions"),
    ('{"images": []}', "there is no 'annotations'"),
    ('{"images": [], "annotations": [{"image_id": 1, "caption": "x"}]}', "there is no 1"),
    ('{"images": [], "annotations": []}', "not one captioned image"),
])  # fmt: skip
def test_bad_coco_files_are_named(write_coco, text, message):
    with pytest.raises(UserError, match=message):
        write_coco(text)


def test_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    message = r"coco/annotations/captions_train2017\.json: cannot read .*No such file.*docs/clip"
    with pytest.raises(UserError, match=message):
        DatasetCatalog.get("coco_2017_train_captions")


@pytest.fixture
def register(tmp_path):
    """Function: text of a file, image root -> its records as registered."""
    names = []

    def load(text, image_root=None):
        path = tmp_path / "own.jsonl"
        path.write_text(text, encoding="utf-8")
        names.append(f"own_captions_{len(names)}")
        register_captions_jsonl(names[-1], path, image_root)
        return DatasetCatalog.get(names[-1])

    yield load
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_captions_jsonl(register, tmp_path):
    lines = [
        '{"file_name": "a.jpg", "captions": ["sky", "a sky"], "content": "sky"}',
        "",
        '{"file_name": "b/c.jpg", "captions": ["sea"]}',
    ]
    first, second = register("\n".join(lines))
    assert first == {
        "file_name": str(tmp_path / "a.jpg"), "captions": ["sky", "a sky"], "content": "sky",
        "image_id": 0,
    }  # fmt: skip
    assert (second["content"], second["image_id"]) == ("b/c.jpg", 1)
    (record,) = register(lines[2], "/images")
    assert record["file_name"] == "/images/b/c.jpg"


def test_what_the_tests_write_loads(tmp_path, register):
    path = write_captions(tmp_path / "data", 40)
    records = register(path.read_text(encoding="utf-8"))
    assert len(records) == 40 and {r["content"] for r in records} == set(WORDS)


@pytest.mark.parametrize(("line", "message"), [
    ("{", "line 2: Expecting property name.*a line is"),
    ("[]", "line 2: "),
    ('{"captions": ["x"]}', "line 2: there is no 'file_name'"),
    ('{"file_name": "a.jpg"}', "line 2: there is no 'captions'"),
    ('{"file_name": "a.jpg", "captions": "sky"}', "line 2: captions is not a list"),
    ('{"file_name": "a.jpg", "captions": []}', "line 2: captions is not a list of one text"),
    ('{"file_name": "a.jpg", "captions": ["sky", " "]}', "line 2: a caption is empty or no text"),
])  # fmt: skip
def test_bad_lines_are_named(register, line, message):
    good = '{"file_name": "a.jpg", "captions": ["sky"]}\n'
    with pytest.raises(UserError, match=rf"own\.jsonl, {message}"):
        register(good + line)


def test_empty_file_is_named(register):
    with pytest.raises(UserError, match=r"own\.jsonl: there is not one captioned image"):
        register("\n")

"""Protocols: what comes with the package fits the data sets, and what a bad file gets."""

from pathlib import Path

import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.modeling import build_model

from san.checks import check_test_datasets
from san.config import load_config
from san.data import build_test_loader
from san.data.datasets import DATASETS
from san.errors import UserError
from san.modeling.text.templates import TEMPLATES
from san.modeling.text.vocabulary import Vocabulary
from san.protocol import load_protocol, protocol_names
from tests.miniatures import write_pascal_context, write_voc
from tests.own_data import write_photos, write_yaml

CONFIGS = Path(__file__).parents[1] / "configs" / "protocols"
SHIPPED = [(path.parent.name, path.stem) for path in sorted(CONFIGS.glob("*/*.yaml"))]


def test_the_published_ones_are_there():
    assert protocol_names() == ["common", "maskclip", "san", "sclip"]
    names = {name: {d for n, d in SHIPPED if n == name} for name in protocol_names()}
    evaluated = {name for name in DATASETS if "_train" not in name}
    assert names["san"] == names["common"] == {*evaluated, "own_data"} and len(evaluated) == 11
    assert len(names["maskclip"]) == 6 and len(names["sclip"]) == 9
    assert names["maskclip"] < names["sclip"] < names["san"]


@pytest.mark.parametrize("name, dataset", SHIPPED)
def test_every_file_reads_and_fits_its_data_set(name, dataset):
    protocol = load_protocol(name, dataset)
    assert (protocol.name, protocol.dataset) == (name, dataset)
    if protocol.vocabulary is not None:
        names = MetadataCatalog.get(dataset).get("stuff_classes")
        assert names is None or len(names) == len(protocol.vocabulary)


# arXiv 2312.01597 and its released configurations
SCLIP = {
    "voc21_sem_seg_val": (336, 65, 0.1, 0.1),
    "voc_sem_seg_val": (336, 40, 0, 0),
    "pcontext60_sem_seg_val": (336, 50, 0.1, 0),
    "pcontext_sem_seg_val": (336, 40, 0, 0),
    "cityscapes_fine_sem_seg_val": (560, 40, 0, 0),
    "ade20k_sem_seg_val": (336, 40, 0, 0),
    "coco_2017_test_stuff_sem_seg": (448, 40, 0, 0),
    "coco_object_sem_seg_val": (336, 50, 0.1, 0),
}


@pytest.mark.parametrize("name", ["sclip", "common"])
@pytest.mark.parametrize("dataset", SCLIP)
def test_settings_of_sclip(name, dataset):
    protocol = load_protocol(name, dataset)
    thresholds = protocol.score_threshold, protocol.area_threshold
    assert (protocol.min_size, protocol.logit_scale, *thresholds) == SCLIP[dataset]
    assert (protocol.max_size, protocol.window, protocol.stride) == (2048, 224, 112)
    assert protocol.templates == TEMPLATES["imagenet"]


def test_lists_are_the_published_ones():
    voc = load_protocol("sclip", "voc21_sem_seg_val").vocabulary
    assert len(voc) == 21 and len(voc.synonyms[0]) == 26 and voc.synonyms[4] == ("ship",)
    assert len(voc.synonyms[15]) == 7 and len(voc.synonyms[20]) == 5
    objects = load_protocol("sclip", "coco_object_sem_seg_val").vocabulary
    assert objects.names[60] == "bed" and "bed" in objects.synonyms[0]
    stuff = load_protocol("sclip", "coco_2017_test_stuff_sem_seg").vocabulary
    assert stuff.names[9] == "trafficlight"
    maskclip = load_protocol("maskclip", "voc_sem_seg_val")
    assert maskclip.vocabulary.names[-1] == "tv monitor" and len(maskclip.templates) == 85
    assert (maskclip.min_size, maskclip.max_size, maskclip.window) == (512, 2048, None)
    context = load_protocol("maskclip", "pcontext_sem_seg_val")
    assert (context.min_size, context.max_size) == (520, 520)  # the longer side alone counts


@pytest.mark.parametrize("path", sorted((CONFIGS / "common").glob("*.txt")), ids=lambda p: p.stem)
def test_common_lists_hold_every_word_once(path):
    words = [w for synonyms in Vocabulary.from_file(path).synonyms for w in synonyms]
    assert len(set(words)) == len(words)
    assert not any(set(word) & set("-,_") for word in words)


def test_common_background_of_voc_is_the_last_class():
    first, last = (
        load_protocol("common", f"{name}_sem_seg_val").vocabulary.synonyms
        for name in ("voc21", "voc20b")
    )
    assert last == (*first[1:], first[0]) and len(first[0]) == 26


def test_san_sees_the_images_as_published():
    protocol = load_protocol("san", "ade20k_full_sem_seg_val")
    assert (protocol.min_size, protocol.max_size) == (640, 2560)
    assert protocol.vocabulary is None and protocol.templates == TEMPLATES["vild"]


@pytest.fixture
def protocol_folder(tmp_path):
    """Write one file of a protocol of one's own -> its folder."""

    def write(text, dataset="voc_sem_seg_val", words="one\ntwo\n"):
        folder = tmp_path / "own"
        folder.mkdir(exist_ok=True)
        (folder / f"{dataset}.yaml").write_text(text)
        (folder / "words.txt").write_text(words)
        return str(folder)

    return write


def test_a_folder_of_ones_own(protocol_folder):
    twenty = "\n".join(f"word {i}" for i in range(20))
    folder = protocol_folder(
        'min_size: 8\nmax_size: 9\nvocabulary: words.txt\ntemplates: ["the {}"]', words=twenty
    )
    protocol = load_protocol(folder, "voc_sem_seg_val")
    assert protocol.name == folder and protocol.templates == ("the {}",)
    assert protocol.vocabulary.names[3] == "word 3"


@pytest.mark.parametrize("name", ["san", "sclip", "maskclip", "common"])
def test_a_data_set_of_ones_own(name):
    """Every protocol has settings for it; the words are its own."""
    protocol = load_protocol(name, "own/street.yaml:val")
    assert protocol.dataset == "own/street.yaml:val" and protocol.vocabulary is None
    known = load_protocol(name, "voc_sem_seg_val")
    for key in ("min_size", "max_size", "window", "stride", "templates", "logit_scale"):
        assert getattr(protocol, key) == getattr(known, key), key


def test_a_file_for_a_data_set_of_ones_own(protocol_folder):
    """Named as the folder of its reports; it goes before the settings for all of one's own."""
    folder = protocol_folder("min_size: 8\nmax_size: 9", "own_data")
    protocol_folder("min_size: 5\nmax_size: 9", "street_val")
    names = ("own/street.yaml:val", "own/street.yaml:train", "street.json", "in_python_val")
    assert [load_protocol(folder, name).min_size for name in names] == [5, 8, 8, 8]
    with pytest.raises(UserError, match="not laid down .* 'voc_sem_seg_val', only for own_data, "):
        load_protocol(folder, "voc_sem_seg_val")


def test_no_file_for_a_data_set_of_ones_own(protocol_folder):
    folder = protocol_folder("min_size: 8\nmax_size: 9")
    problem = "only for voc_sem_seg_val; .* a folder that has street_val.yaml or own_data.yaml$"
    with pytest.raises(UserError, match=problem):
        load_protocol(folder, "own/street.yaml:val")


@pytest.mark.parametrize(
    "text, problem",
    [
        ("min_size: 8", "max_size is missing"),
        ("min_size: 8.5\nmax_size: 9", "min_size is 8.5; give a whole number"),
        ("min_size: 9\nmax_size: 8", "max_size 8 is below min_size 9"),
        ("min_size: 8\nmax_size: 9\nwindow: 4", "window and stride come together"),
        ("min_size: 8\nmax_size: 9\nwindow: 4\nstride: 5", "stride 5 is above window 4"),
        (
            "min_size: 8\nmax_size: 9\nscore_threshold: 2",
            "score_threshold is 2; give a number from",
        ),
        ("min_size: 8\nmax_size: 9\nlogit_scale: 0", "logit_scale is 0; give a number above 0"),
        ("min_size: 8\nmax_size: 9\ntemplates: clip", "templates: there are no templates 'clip'"),
        ("min_size: 8\nmax_size: 9\ntemplates: [word]", "template 'word'"),
        ("min_size: 8\nmax_size: 9\nvocabulary: 3", "vocabulary is 3; give the name of a file"),
        ("min_size: 8\nmax_size: 9\nvocabulary: none.txt", "none.txt cannot be read"),
        ("min_size: 8\nmax_size: 9\nvocabulary: words.txt", "has 2 classes, but the data set"),
        ("min_size: 8\nmax_size: 9\nsize: 3", "unknown key 'size'; there are min_size"),
        ("- 3", "write `key: value` lines"),
        ("min_size: [", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(protocol_folder, text, problem):
    with pytest.raises(UserError, match=problem):
        load_protocol(protocol_folder(text), "voc_sem_seg_val")


def test_an_unknown_protocol_lists_those_there_are():
    with pytest.raises(UserError, match="TEST.PROTOCOL is 'clip'; there are common, maskclip, san"):
        load_protocol("clip", "voc_sem_seg_val")


def test_a_data_set_without_the_protocol_lists_those_it_has():
    with pytest.raises(UserError, match="'maskclip' is not laid down for .*'voc21.*ade20k_sem"):
        load_protocol("maskclip", "voc21_sem_seg_val")


@pytest.fixture
def cfg(tmp_path, monkeypatch):
    write_voc(tmp_path, 2)
    write_pascal_context(tmp_path, 1)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return load_config("quick/san_tiny.yaml", ["DATALOADER.NUM_WORKERS", "1"])


def test_the_loader_follows_the_protocol(cfg):
    plain = next(iter(build_test_loader(cfg, "voc_sem_seg_val")))[0]
    assert "protocol" not in plain and "vocabulary" not in plain
    cfg.TEST.PROTOCOL = "sclip"
    (item,) = next(iter(build_test_loader(cfg, "voc_sem_seg_val")))
    assert min(item["image"].shape[1:]) == 336
    assert item["protocol"].logit_scale == 40
    assert item["vocabulary"].names[3] == "ship"
    cfg.TEST.PROTOCOL = "san"
    (item,) = next(iter(build_test_loader(cfg, "voc_sem_seg_val")))
    assert min(item["image"].shape[1:]) == 640
    assert item["protocol"].name == "san" and "vocabulary" not in item


@torch.no_grad()
def test_the_model_takes_names_and_prompts_of_the_protocol(cfg, protocol_folder):
    """The same words and prompts given by hand make the same scores, others make others."""
    model = build_model(cfg).eval()
    names = MetadataCatalog.get("voc_sem_seg_val").stuff_classes
    text = 'min_size: 64\nmax_size: 256\nvocabulary: words.txt\ntemplates: ["the {}"]'
    cfg.TEST.PROTOCOL = protocol_folder(text, words="\n".join(f"{n}|a {n}" for n in names))
    (item,) = next(iter(build_test_loader(cfg, "voc_sem_seg_val")))
    scores = model([item])[0]["scores"]
    prompts = [[f"the {n}", f"the a {n}"] for n in names]
    model.text_classifier.templates = ("{}",)
    image = {key: item[key] for key in ("image", "height", "width", "output")}
    assert torch.equal(model([{**image, "vocabulary": prompts}])[0]["scores"], scores)
    assert not torch.equal(model([{**image, "vocabulary": names}])[0]["scores"], scores)


def test_the_loader_follows_the_protocol_of_ones_own_data(cfg, tmp_path):
    write_photos(tmp_path, 1)
    name = write_yaml(tmp_path)
    cfg.TEST.PROTOCOL, cfg.DATASETS.TEST = "sclip", (name,)
    check_test_datasets(cfg)
    ((item,),) = build_test_loader(cfg, name)
    assert min(item["image"].shape[1:]) == 336
    assert item["protocol"].logit_scale == 40 and "vocabulary" not in item


def test_a_protocol_that_does_not_fit_is_found_before_training(cfg):
    cfg.TEST.PROTOCOL, cfg.DATASETS.TEST = "maskclip", ("voc_sem_seg_val", "pcontext_sem_seg_val")
    check_test_datasets(cfg)
    cfg.TEST.PROTOCOL = "clip"
    with pytest.raises(UserError, match="TEST.PROTOCOL is 'clip'"):
        check_test_datasets(cfg)
    with pytest.raises(UserError, match="TEST.PROTOCOL is 'clip'"):
        build_test_loader(cfg, "voc_sem_seg_val")


def test_clip_has_no_protocol(cfg):
    cfg.MODEL.META_ARCHITECTURE, cfg.TEST.PROTOCOL, cfg.DATASETS.TEST = "CLIP", "san", ()
    with pytest.raises(
        UserError, match="TEST.PROTOCOL is 'san', but CLIP's own evaluation has none"
    ):
        check_test_datasets(cfg)

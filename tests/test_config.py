import pytest
from detectron2.modeling import META_ARCH_REGISTRY

from san.config import find_config, load_config
from san.errors import UserError

PUBLISHED = ["san_clip_vit_res4_coco.yaml", "san_clip_vit_large_res4_coco.yaml"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configs_load_with_their_values(name):
    cfg = load_config(f"configs/{name}")
    assert cfg.MODEL.META_ARCHITECTURE in META_ARCH_REGISTRY
    assert cfg.SOLVER.BACKBONE_MULTIPLIER == 1.0
    assert cfg.SOLVER.MAX_ITER == 60000 and cfg.SOLVER.IMS_PER_BATCH == 32
    assert tuple(range(320, 961, 64)) == cfg.INPUT.MIN_SIZE_TRAIN
    large = "large" in name
    assert (0.7 if large else 0.5) == cfg.MODEL.SAN.CLIP_RESOLUTION
    assert (16 if large else 12) == cfg.MODEL.SIDE_ADAPTER.ATTN_BIAS.NUM_HEADS


def test_configs_are_found_by_name_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("quick/san_tiny.yaml", "configs/quick/san_tiny.yaml"):
        assert load_config(name).MODEL.SAN.CLIP_MODEL_NAME == "clip_tiny"
    with pytest.raises(
        UserError, match=r"'nothing\.yaml' not found; tried nothing\.yaml, .*configs"
    ):
        find_config("nothing.yaml")


def test_options_override_the_file():
    cfg = load_config(PUBLISHED[0], ["MODEL.SAN.NUM_CLASSES", "20", "DATASETS.TEST", "('a',)"])
    assert cfg.MODEL.SAN.NUM_CLASSES == 20 and cfg.DATASETS.TEST == ("a",)


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (["MODEL.SAN.NUM_CLASS", "20"], r"command line: Non-existent key: MODEL\.SAN\.NUM_CLASS"),
        (["MODEL.SAN.NUM_CLASSES", "many"], r"command line: .*NUM_CLASSES"),
        (["MODEL.SAN.NUM_CLASSES"], r"KEY VALUE pairs.*'MODEL\.SAN\.NUM_CLASSES'"),
    ],
)
def test_bad_options_are_named(opts, message):
    with pytest.raises(UserError, match=message):
        load_config(PUBLISHED[0], opts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MODEL: {SAN: {QUERIES: 3}}", r"Non-existent config key: MODEL\.SAN\.QUERIES"),
        ("MODEL: [", r"own\.yaml: not valid YAML"),
        ("MODEL: {SAN: {NUM_CLASSES: [1]}}", "NUM_CLASSES"),
        ('INPUT: {MIN_SIZE_TRAIN: !!python/object/apply:eval ["[1]"]}', "line 1 would run Python"),
    ],
)
def test_bad_files_are_named(text, message, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        load_config(str(path))
    assert "own.yaml" in str(error.value)


def test_the_published_line_that_runs_python_is_refused_with_the_plain_list(tmp_path):
    path = tmp_path / "published.yaml"
    line = '!!python/object/apply:eval ["[int(x * 0.1 * 640) for x in range(5, 16)]"]'
    path.write_text(f"INPUT:\n  MIN_SIZE_TRAIN: {line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"line 2 would run Python.*\[320, 384, .*, 960\]"):
        load_config(str(path))

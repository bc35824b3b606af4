"""Dense methods through train_net.py, Segmenter, the command and TTA: only the config differs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import train_net
from san import Segmenter
from san.cli import main
from san.config import load_config
from san.engine import Trainer
from san.errors import UserError
from san.modeling.meta_arch import DenseCLIP, MaskCLIP
from tests.miniatures import write_coco_stuff, write_voc

METHODS = ("dense_clip", "maskclip", "sclip")
CONFIGS = Path(train_net.__file__).parent / "configs"
TINY = (
    *(
        "MODEL.DEVICE",
        "cpu",
        "MODEL.SAN.CLIP_MODEL_NAME",
        "clip_tiny",
        "DATALOADER.NUM_WORKERS",
        "0",
    ),
    *("MODEL.DENSE_CLIP.WINDOW", "64", "MODEL.DENSE_CLIP.STRIDE", "32"),
    *("INPUT.MIN_SIZE_TEST", "64", "MODEL.SAN.CLIP_TEMPLATE_SET", "photo"),
)
WORDS = ["grass", "sky", "cat|kitten"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_voc(root, num_images=2)
    write_coco_stuff(root, num_train=8, num_val=2)
    return root


@pytest.fixture(scope="module")
def clip_weights(tmp_path_factory):
    """Random weights of the tiny CLIP, by which patches differ, in a file that open_clip takes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("clip") / "clip.safetensors"
    options = ("MODEL.DEVICE", "cpu", "MODEL.SAN.CLIP_MODEL_NAME", "clip_tiny")
    clip = Trainer.build_model(load_config("clip_tiny_shapescenes.yaml", options))
    with torch.no_grad():
        for parameter in clip.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    clip.export(path)
    return str(path)


@pytest.fixture(autouse=True)
def _root(data, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(data))


def train(config, folder, *arguments):
    """Run train_net.py with a config, and say what it wrote to ``results.json``."""
    arguments = ["--config-file", config, *arguments, *TINY, "OUTPUT_DIR", str(folder)]
    return train_net.main([str(x) for x in arguments])


def report(folder, name, kind="inference"):
    path = folder / kind / name / "sem_seg_evaluation.json"
    return json.loads(path.read_text())


@pytest.mark.parametrize("method", METHODS)
def test_evaluation(method, data, clip_weights, tmp_path, capfd):
    """Without MODEL.WEIGHTS: CLIP's are all there is; the card names them."""
    config = f"configs/{method}/{method}_vit_b_16.yaml"
    options = ["--eval-only", "MODEL.SAN.CLIP_PRETRAINED_NAME", clip_weights]
    published = load_config(config).TEST.PROTOCOL
    assert published == ("maskclip" if method == "maskclip" else "sclip")
    options += ["DATASETS.TEST", "('voc_sem_seg_val',)"]
    reports = []
    for protocol in ("", "common"):
        folder = tmp_path / (protocol or "none")
        status = train(config, folder, *options, "TEST.PROTOCOL", protocol)
        assert status == 0, capfd.readouterr().err
        reports.append(report(folder, "voc_sem_seg_val"))
        card = json.loads((folder / "inference" / "card.json").read_text())
        assert card["weights"]["source"] == clip_weights
    assert len(reports[0]["classes"]) == 20
    assert reports[0] != reports[1]  # the protocol counted


def test_test_time_augmentation(clip_weights, tmp_path, capfd):
    options = ["MODEL.SAN.CLIP_PRETRAINED_NAME", clip_weights, "TEST.AUG.ENABLED", "True"]
    options += ["TEST.AUG.MIN_SIZES", "[64, 80]", "DATASETS.TEST", "('voc_sem_seg_val',)"]
    config = "configs/sclip/sclip_vit_b_16.yaml"
    assert train(config, tmp_path, "--eval-only", *options, "TEST.PROTOCOL", "") == 0, (
        capfd.readouterr().err
    )
    plain, tta = (report(tmp_path, "voc_sem_seg_val", k) for k in ("inference", "inference_TTA"))
    assert plain != tta


def segmenter(method, *options):
    options = [*TINY, *map(str, options)]
    return Segmenter.from_config(f"{method}/{method}_vit_b_16.yaml", opts=options, device="cpu")


def picture():
    pixels = np.zeros((70, 90, 3), np.uint8)
    pixels[:35], pixels[35:] = (90, 140, 240), (40, 160, 60)
    return pixels


@pytest.mark.parametrize("method", METHODS)
def test_segmenter(method, clip_weights):
    own = segmenter(method, "MODEL.SAN.CLIP_PRETRAINED_NAME", clip_weights)
    assert own.trained and own.source["weights"] == clip_weights
    result = own(picture(), WORDS)
    assert result.label_map.shape == (70, 90) and result.names == ("grass", "sky", "cat")
    assert 0 <= result.scores.min() <= result.scores.max() <= 1
    none = own(picture(), WORDS, background_threshold=0.0)
    assert (none.label_map == -1).all()


def test_a_model_without_weights_is_untrained(clip_weights):
    """So is one whose projection was not learned, whatever its CLIP."""
    assert not segmenter("sclip", "MODEL.SAN.CLIP_PRETRAINED_NAME", "").trained
    options = ["MODEL.SAN.CLIP_PRETRAINED_NAME", clip_weights]
    assert not segmenter("sclip", *options, "MODEL.SCLIP.ATTENTION", "learned_projection").trained
    assert segmenter("sclip", *options, "MODEL.SCLIP.ATTENTION", "random_projection").trained


def test_the_command(clip_weights, tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    arguments = ["segment", "--config-file", "configs/maskclip/maskclip_vit_b_16.yaml"]
    arguments += ["--input", str(tmp_path / "a.png"), "--vocabulary", *WORDS]
    arguments += ["--output", str(tmp_path / "out"), "--device", "cpu", "--opts", *TINY]
    assert main([*arguments, "MODEL.SAN.CLIP_PRETRAINED_NAME", clip_weights]) == 0
    predictions = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert predictions["weights"] == clip_weights and predictions["complete"]
    assert sum(c["area"] for c in predictions["images"][0]["classes"]) == 70 * 90


LEARNED = (
    *("MODEL.SAN.CLIP_PRETRAINED_NAME", "", "DATASETS.TEST", "()", "INPUT.MIN_SIZE_TRAIN", "(64,)"),
    *("INPUT.CROP.SIZE", "(64, 64)", "INPUT.SIZE_DIVISIBILITY", "64", "SOLVER.IMS_PER_BATCH", "2"),
    *("SOLVER.MAX_ITER", "3"),
)


def test_learned_projection_by_train_net(tmp_path, capfd):
    """Trained, saved, evaluated; the only parameter that changed is the projection."""
    config = "configs/sclip/sclip_learned_vit_b_16.yaml"
    options = [*LEARNED, "DATASETS.NUM_TRAIN_IMAGES", "4"]
    assert train(config, tmp_path / "out", *options) == 0, capfd.readouterr().err
    weights = tmp_path / "out" / "model_final.pth"
    trained = torch.load(weights, weights_only=True)["model"]
    losses = [json.loads(line) for line in (tmp_path / "out" / "metrics.json").open()]
    assert np.isfinite(losses[-1]["total_loss"])
    torch.manual_seed(0)
    model = Trainer.build_model(load_config(config, [*TINY, *LEARNED]))
    start = model.state_dict()["clip.attention.projections"]
    assert trained["clip.attention.projections"].shape == start.shape
    assert not torch.equal(trained["clip.attention.projections"], start)
    own = Segmenter.from_config(config, weights, [*TINY, *LEARNED], "cpu")
    assert own.trained
    state = own.model.state_dict()
    assert torch.equal(state["clip.attention.projections"], trained["clip.attention.projections"])


def test_what_cannot_be_trained_says_so(tmp_path, capfd):
    """By the method, or by its number of images."""
    options = [*LEARNED, "DATASETS.TRAIN", "('coco_2017_train_stuff_sem_seg',)"]
    assert train("configs/sclip/sclip_vit_b_16.yaml", tmp_path, *options) == 2
    assert "'SCLIP' has nothing to train as it is configured: give --eval-only" in (
        capfd.readouterr().err
    )
    config = "configs/sclip/sclip_learned_vit_b_16.yaml"
    assert train(config, tmp_path, *LEARNED) == 2
    assert "NUM_TRAIN_IMAGES is 64; DATASETS.TRAIN has 8 images" in capfd.readouterr().err


def test_images_to_train_on_are_spread(data):
    """Every other one of 8."""
    from san.data import build_train_loader

    options = [*TINY, *LEARNED, "DATASETS.NUM_TRAIN_IMAGES"]
    config = "configs/sclip/sclip_learned_vit_b_16.yaml"
    half, all_of_them = (
        [
            record["file_name"]
            for record in build_train_loader(load_config(config, [*options, n])).records
        ]
        for n in ("4", "0")
    )
    assert half == all_of_them[::2] and len(all_of_them) == 8


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*clip/*.yaml")), ids=lambda path: path.name)
def test_every_config_builds(path, monkeypatch):
    """With random weights, of a tiny CLIP where it would have a large one."""
    options = ["MODEL.DEVICE", "cpu", "MODEL.SAN.CLIP_PRETRAINED_NAME", ""]
    cfg = load_config(str(path), options)
    if cfg.MODEL.SAN.CLIP_MODEL_NAME == "ViT-B/16":
        cfg.MODEL.SAN.CLIP_MODEL_NAME = "clip_tiny"
    model = Trainer.build_model(cfg)
    assert type(model).__name__ == cfg.MODEL.META_ARCHITECTURE
    assert isinstance(model, DenseCLIP) and isinstance(model, MaskCLIP) == ("maskclip" in path.name)
    assert any(p.requires_grad for p in model.parameters()) == ("learned" in path.name)


def test_a_checkpoint_of_another_method_is_refused(tmp_path, clip_weights):
    """The learned projection is missing in what SCLIP itself saves."""
    own = segmenter("sclip", "MODEL.SAN.CLIP_PRETRAINED_NAME", clip_weights)
    torch.save({"model": own.model.state_dict()}, tmp_path / "sclip.pth")
    with pytest.raises(UserError, match=r"1 parameters of the model are missing: clip\.attention"):
        Segmenter.from_config(
            "configs/sclip/sclip_learned_vit_b_16.yaml", tmp_path / "sclip.pth", TINY, "cpu"
        )

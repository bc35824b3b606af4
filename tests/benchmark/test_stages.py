"""The stages of models: all are found, their times add up, and results stay the same."""

import pytest
import torch
from detectron2.modeling import build_model

from san.benchmark.clock import Clock
from san.benchmark.samples import draw_image, training_inputs
from san.benchmark.stages import NETWORK, Recorder
from san.benchmark.words import make_words
from san.config import load_config
from tests.training import CONFIG

WORDS = make_words(20)
INFERENCE = ["preprocess", "text lookup", "CLIP shallow", "side adapter", "mask decoder"]
INFERENCE += ["CLIP deep", "classifier", "label map"]


def run(model, **inputs):
    """Times of a run and its outputs."""
    recorder = Recorder(model)
    recorder.target = clock = Clock(torch.device("cpu"))
    image = torch.from_numpy(draw_image((64, 64))).permute(2, 0, 1)
    inputs = {"image": image, "vocabulary": WORDS, "output": "label_map", **inputs}
    with torch.set_grad_enabled(model.training):
        outputs = model([inputs])
    return clock.stop(), outputs


@pytest.fixture(scope="module")
def config():
    return load_config(CONFIG, ["MODEL.SAN.NUM_CLASSES", "20"])


def test_stages_of_san(config):
    model = build_model(config).eval()
    with torch.no_grad():
        image = torch.from_numpy(draw_image((64, 64))).permute(2, 0, 1)
        inputs = {"image": image, "vocabulary": WORDS, "output": "label_map"}
        (expected,) = model([inputs])
    times, (output,) = run(model)
    assert sorted(times) == sorted([*INFERENCE, "total", "CPU time"])
    stages = [times[name] for name in INFERENCE]
    assert all(seconds > 0 for seconds in stages)
    assert 0.5 * times["total"] < sum(stages) <= times["total"]  # none lies within another
    assert torch.equal(output["label_map"], expected["label_map"])


def test_stages_of_a_training_step(config):
    model = build_model(config).train()
    (inputs,) = training_inputs((128, 128), 1, WORDS)
    times, losses = run(model, **inputs)
    assert {*INFERENCE, "targets", "criterion"} - {"label map"} == {*times} - {"total", "CPU time"}
    sum(losses.values()).backward()
    assert model.mask_decoder.query_mlp.layers[0].weight.grad is not None


def test_a_dense_method_has_clip_alone():
    options = ["MODEL.SAN.CLIP_MODEL_NAME", "clip_tiny", "MODEL.SAN.CLIP_PRETRAINED_NAME", ""]
    options += ["MODEL.DENSE_CLIP.WINDOW", "0", "MODEL.DEVICE", "cpu"]
    cfg = load_config("dense_clip/dense_clip_vit_b_16.yaml", options)
    times, _ = run(build_model(cfg).eval())
    assert sorted(times) == ["CLIP", "CPU time", "preprocess", "text lookup", "total"]


def test_only_the_network_is_compiled(config, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda f, **options: compiled.append(options) or f)
    recorder = Recorder(build_model(config))
    recorder.compile("reduce-overhead")
    assert compiled == 4 * [{"mode": "reduce-overhead", "dynamic": False}]
    assert {stage.name for stage in recorder.network} == {*NETWORK} - {"CLIP"}
    recorder.compile("none")
    assert all(stage.function == stage.eager for stage in recorder.stages)

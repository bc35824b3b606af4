"""A new process for each: what is imported, and that nothing is lost."""

import subprocess
import sys


def _run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_start_needs_neither_compiler_nor_timm_nor_plots():
    code = """
import sys, san.segment, san.predictor
from san.visualize.fonts import load_font
load_font(12, "dining table")
print(*(name in sys.modules for name in ('torch._dynamo', 'timm', 'matplotlib')))
"""
    assert _run(code) == ["False", "False", "False"]


def test_towers_of_timm_are_there_when_they_are_wanted():
    code = """
import san.predictor, sys, torch, open_clip
def make():
    vision = {"timm_model_name": "vit_tiny_patch16_224", "image_size": 224}
    text = {"width": 8, "heads": 1, "layers": 1}
    return open_clip.CLIP(embed_dim=8, vision_cfg=vision, text_cfg=text)
print('timm' in sys.modules)
print(*(tuple(make().encode_image(torch.zeros(2, 3, 224, 224)).shape) == (2, 8) for _ in range(2)))
from open_clip.timm_model import TimmModel
print(isinstance(make().visual, TimmModel), issubclass(TimmModel, torch.nn.Module))
"""
    assert _run(code) == ["False", "True", "True", "True", "True"]


def test_timm_that_was_imported_before_is_used():
    code = "import timm, san.predictor, torch; from open_clip.timm_model import TimmModel as T\n"
    assert _run(code + "print(issubclass(T, torch.nn.Module))") == ["True"]


def test_the_compiler_is_there_when_it_is_wanted():
    code = """
import san.predictor, torch, torchvision
boxes = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]])
pooled = torchvision.ops.roi_align(torch.arange(64.0).view(1, 1, 8, 8), boxes, 2)
compiled = torch.compile(torchvision.ops.roi_align, backend="eager")
print(torch.equal(pooled, compiled(torch.arange(64.0).view(1, 1, 8, 8), boxes, 2)))
import sys
print('torch._dynamo' in sys.modules, hasattr(sys.modules['torch._dynamo'], 'reset'))
"""
    assert _run(code) == ["True", "True", "True"]


def test_one_that_was_imported_before_is_left_alone():
    code = "import torch._dynamo as c, san.predictor, sys; print(sys.modules[c.__name__] is c)"
    assert _run(code) == ["True"]


def test_nothing_is_scripted_and_nothing_deprecated():
    code = """
import warnings
warnings.simplefilter("error", FutureWarning)
import san.predictor, torch
from detectron2.modeling.box_regression import Box2BoxTransform
from fvcore.nn import sigmoid_focal_loss, sigmoid_focal_loss_jit
boxes, moved = torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([[1.0, 0.0, 5.0, 4.0]])
transform = Box2BoxTransform(weights=(1.0, 1.0, 1.0, 1.0))
print(transform.apply_deltas(transform.get_deltas(boxes, moved), boxes).equal(moved))
x, y = torch.randn(3), torch.ones(3)
print(sigmoid_focal_loss_jit(x, y).equal(sigmoid_focal_loss(x, y)))
warnings.simplefilter("ignore")
print(torch.jit.script(torch.nn.Linear(1, 1)).__class__.__name__ != "Linear")
"""
    assert _run(code) == ["True", "True", "True"]

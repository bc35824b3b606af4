"""A new process for each: what is imported, and that nothing is lost."""

import subprocess
import sys


def _run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_start_needs_neither_compiler_nor_plots():
    code = """
import sys, san.segment, san.predictor
from san.visualize.fonts import load_font
load_font(12, "dining table")
print('torch._dynamo' in sys.modules, 'matplotlib' in sys.modules)
"""
    assert _run(code) == ["False", "False"]


def test_the_compiler_is_there_when_it_is_wanted():
    code = """
import san.predictor, torch, torchvision
from timm.models import naflexvit
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

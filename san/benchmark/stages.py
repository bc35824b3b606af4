"""The stages of a model, and what goes on in each: timed by `clock`, counted by `counters`."""

import contextlib
import functools

import torch
from torch import nn

from san.modeling.meta_arch import SAN

# Stage: modules and methods of the model; no two of them run within each other
_SAN = {
    "preprocess": ("preprocess_image", "_clip_input"),
    "text lookup": ("embed_text",),
    "CLIP shallow": ("clip",),
    "side adapter": ("side_adapter",),
    "mask decoder": ("mask_decoder",),
    "CLIP deep": ("mask_recognition",),
    "classifier": ("classify",),
    "label map": ("_infer",),
    "targets": ("_target",),
    "criterion": ("criterion",),
}
_DENSE = {"preprocess": ("preprocess_image",), "text lookup": ("embed_text",), "CLIP": ("clip",)}
# Where the multiply-adds of the network are
NETWORK = ("CLIP", "CLIP shallow", "side adapter", "mask decoder", "CLIP deep")


class Stage:
    """A function of the model that tells the recorder when it runs.

    Attributes:
        name: of the stage.
        eager: the function as it was.
        function: what is called, ``eager`` or its compiled form.
    """

    def __init__(self, name, function, recorder):
        self.name, self.eager, self.function, self.recorder = name, function, function, recorder
        functools.update_wrapper(self, function)

    def __call__(self, *args, **kwargs):
        with self.recorder.stage(self.name):
            return self.function(*args, **kwargs)


class Recorder:
    """Hands the stages of a model to a `Clock` or a `Counters`; without one they just run.

    Args:
        model: its stages are wrapped, for good.
    """

    def __init__(self, model):
        self.target = None
        self.stages, self.network = [], []
        for name, attributes in (_SAN if isinstance(model, SAN) else _DENSE).items():
            for attribute in attributes:
                self._wrap(model, name, attribute)

    def _wrap(self, model, name, attribute):
        owner, member = model, getattr(model, attribute)
        if isinstance(member, nn.Module):
            owner, attribute, member = member, "forward", member.forward
        stage = Stage(name, member, self)
        setattr(owner, attribute, stage)  # of the object; its class stays as it is
        self.stages.append(stage)
        if name in NETWORK:
            self.network.append(stage)

    def stage(self, name):
        """Context of a stage."""
        return contextlib.nullcontext() if self.target is None else self.target.stage(name)

    def compile(self, mode):
        """Compile the network's stages, each on its own, for the shapes they see.

        Args:
            mode (str): of torch.compile; "none": eager.
        """
        for stage in self.network:
            stage.function = stage.eager
            if mode != "none":
                stage.function = torch.compile(stage.eager, mode=mode, dynamic=False)

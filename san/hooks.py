"""Training hooks and event writers beside Detectron2's own."""

import contextlib
import logging

import numpy as np
import torch
import yaml
from detectron2.engine import HookBase, hooks
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import EventWriter, get_event_storage

from san.errors import UserError


class SeedStep(HookBase):
    """Seed torch, numpy and random from (seed, iteration, rank) before each step.

    So a resumed training draws the numbers of an uninterrupted one, and no generator state has to
    be kept. The trainer has the ``seed`` (int >= 0).
    """

    def before_step(self):
        entropy = [self.trainer.seed, self.trainer.iter, comm.get_rank()]
        seed_all_rng(int(np.random.SeedSequence(entropy).generate_state(1)[0]))


def stop_on_broken_loss(model):
    """Let a training forward pass fail, in all processes at once, where a loss is NaN or infinite.

    Nothing has changed by then: weights, optimizer and checkpoints are those of the iteration
    before.

    Args:
        model (nn.Module): the trainer's, DistributedDataParallel included; in training it returns a
            dict of scalar losses, or now raises FloatingPointError.
    """
    model.register_forward_hook(_check_losses)


def _check_losses(model, inputs, losses):
    if not model.training:
        return
    finite = torch.stack([loss.detach() for loss in losses.values()]).sum().isfinite()
    if comm.get_world_size() > 1:
        finite = finite.float()
        torch.distributed.all_reduce(finite, torch.distributed.ReduceOp.MIN)
    if finite:
        return
    broken = {name: loss.item() for name, loss in losses.items() if not loss.isfinite()}
    broken = {name: value for part in comm.all_gather(broken) for name, value in part.items()}
    values = ", ".join(f"{name} = {value}" for name, value in broken.items()) or "their sum"
    raise FloatingPointError(f"the loss is not finite ({values})")


class EvalHook(hooks.EvalHook):
    """Detectron2's EvalHook, but without a last evaluation when the last iteration failed."""

    def after_train(self):
        if self.trainer.iter >= self.trainer.max_iter:  # reached only by a training that succeeded
            super().after_train()


class ClampLogitScale(HookBase):
    """Bound CLIP's temperature after each step, and log it as ``logit_scale``, 1 to 100.

    Stands before the hook that saves checkpoints.
    """

    def __init__(self, model):
        """
        Args:
            model (san.modeling.meta_arch.CLIP)
        """
        self.model = model

    def after_step(self):
        self.model.clamp_logit_scale()
        self.trainer.storage.put_scalar("logit_scale", self.model.clip.logit_scale.exp().item())


class ExportClip(HookBase):
    """Write CLIP's weights under open_clip's names when a training has succeeded."""

    def __init__(self, model, path):
        """
        Args:
            model (san.modeling.meta_arch.CLIP)
            path (str): of a .safetensors file.
        """
        self.model = model
        self.path = path

    def after_train(self):
        if self.trainer.iter >= self.trainer.max_iter:
            self.model.export(self.path)


class WandbWriter(EventWriter):
    """Write all scalars to Weights & Biases."""

    def __init__(self, cfg):
        """
        Args:
            cfg: WANDB.PROJECT and WANDB.NAME of the run; OUTPUT_DIR, where its files go.
        """
        import wandb  # optional

        config = yaml.safe_load(cfg.dump())
        self._run = wandb.init(
            project=cfg.WANDB.PROJECT, name=cfg.WANDB.NAME, dir=cfg.OUTPUT_DIR, config=config
        )
        self._last_write = -1

    def write(self):
        """Send every scalar that is newer than the last call."""
        storage = get_event_storage()
        latest = storage.latest()  # name -> (value, iteration)
        scalars = {
            name: v for name, (v, iteration) in latest.items() if iteration > self._last_write
        }
        if scalars:
            self._last_write = max(iteration for _, iteration in latest.values())
            self._run.log(scalars, step=storage.iter)

    def close(self):
        """End the run."""
        self._run.finish()


class _UserErrorWithoutTrace(logging.Filter):
    """Log a user's mistake as its message alone."""

    def filter(self, record):
        if record.exc_info and isinstance(record.exc_info[1], UserError):
            record.msg, record.args = f"{record.msg} {record.exc_info[1]}", None
            record.exc_info = None
        return True


@contextlib.contextmanager
def no_trace_for_user_errors():
    """Let Detectron2's training loop log a user's mistake in a line, inside the block."""
    loop_logger = logging.getLogger("detectron2.engine.train_loop")
    log_filter = _UserErrorWithoutTrace()
    loop_logger.addFilter(log_filter)
    try:
        yield
    finally:
        loop_logger.removeFilter(log_filter)

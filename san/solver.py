"""Optimizer and learning-rate schedule of SAN's training (arXiv 2302.12242, Sec. 4.1)."""

import contextlib
import logging
from typing import NamedTuple

from detectron2.projects.deeplab import build_lr_scheduler as build_deeplab_lr_scheduler
from detectron2.solver.build import GradientClipType, maybe_add_gradient_clipping
from tabulate import tabulate
from torch import nn
from torch.autograd.graph import increment_version
from torch.optim import SGD, AdamW

from san.errors import UserError

# First parts of parameter names that a learning-rate multiplier of the config applies to
LR_MULTIPLIERS = {
    "BACKBONE_MULTIPLIER": ("side_adapter", "mask_decoder"),
    "CLIP_MULTIPLIER": ("clip", "mask_recognition"),
}
LR_SCHEDULERS = (
    "WarmupPolyLR",
    "WarmupMultiStepLR",
    "WarmupCosineLR",
    "WarmupStepWithFixedGammaLR",
)
# What a schedule keeps of its position; all else follows from the config
POSITION = ("last_epoch", "_step_count", "_last_lr")
NORM_LAYERS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.LayerNorm,
)


class ParameterRule(NamedTuple):
    """How one parameter is trained."""

    name: str
    parameter: nn.Parameter
    lr: float
    weight_decay: float


def parameter_rules(solver, model):
    """Learning rate and weight decay of every trainable parameter of ``model``, in model order.

    Args:
        solver (CfgNode): the config's SOLVER node.
        model (nn.Module): a parameter shared between modules goes by its first name.

    Returns:
        list[ParameterRule]
    """
    rules, seen = [], set()
    for module_name, module in model.named_modules():
        for last_name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or parameter in seen:
                continue
            seen.add(parameter)
            name = f"{module_name}.{last_name}" if module_name else last_name
            weight_decay = _weight_decay(solver, module, last_name, parameter)
            rules.append(ParameterRule(name, parameter, _learning_rate(solver, name), weight_decay))
    return rules


def _learning_rate(solver, name):
    lr = solver.BASE_LR
    for key, parts in LR_MULTIPLIERS.items():
        if name.split(".")[0] in parts:
            lr *= solver[key]
    return lr


def _weight_decay(solver, module, last_name, parameter):
    """Norms first, then embeddings by type or by name; a custom norm layer counts as any layer.

    WEIGHT_DECAY_BIAS, where it is set, goes for all others of fewer than two dimensions.
    """
    if isinstance(module, NORM_LAYERS):
        return solver.WEIGHT_DECAY_NORM
    is_embedding = any(part in last_name for part in solver.WEIGHT_DECAY_EMBED_GROUP)
    if is_embedding or isinstance(module, nn.Embedding):
        return solver.WEIGHT_DECAY_EMBED
    if parameter.ndim < 2 and solver.WEIGHT_DECAY_BIAS is not None:
        return solver.WEIGHT_DECAY_BIAS
    return solver.WEIGHT_DECAY


def build_optimizer(cfg, model):
    """The optimizer that SOLVER describes, over the trainable parameters of ``model``.

    Parameters of equal learning rate and weight decay share a group, so that PyTorch updates them
    together; a step gives what one group per parameter would give.

    Raises:
        UserError: an OPTIMIZER or a CLIP_GRADIENTS.CLIP_TYPE that does not exist, a model with
            nothing to train.
    """
    solver = cfg.SOLVER
    rules = parameter_rules(solver, model)
    if not rules:
        raise UserError(
            f"MODEL.META_ARCHITECTURE {cfg.MODEL.META_ARCHITECTURE!r} has nothing to train as it "
            "is configured: give --eval-only (of SCLIP, MODEL.SCLIP.ATTENTION learned_projection "
            "can be trained)"
        )
    logging.getLogger(__name__).info("Optimizer:\n%s", optimizer_table(rules))
    groups = _groups(rules)
    if solver.OPTIMIZER == "ADAMW":
        # On a GPU PyTorch updates many tensors at once by itself, and a fused step would unscale
        # the gradients after they were clipped
        fused = all(rule.parameter.device.type == "cpu" for rule in rules)
        betas = tuple(solver.BETAS)
        optimizer = AdamW(groups, solver.BASE_LR, betas=betas, eps=solver.EPS, fused=fused)
        optimizer.register_step_post_hook(_count_versions)
    elif solver.OPTIMIZER == "SGD":
        optimizer = SGD(groups, solver.BASE_LR, momentum=solver.MOMENTUM, nesterov=solver.NESTEROV)
    else:
        raise UserError(f"SOLVER.OPTIMIZER {solver.OPTIMIZER!r} does not exist: ADAMW or SGD")
    return _add_gradient_clipping(cfg, optimizer)


def _count_versions(optimizer, args, kwargs):
    """Tell PyTorch that a step has changed the weights, as the fused one, unlike others, does not.

    By that count `TextClassifier` knows which of its embeddings are of weights of before.
    """
    increment_version([p for group in optimizer.param_groups for p in group["params"]])


def _groups(rules):
    """Parameter groups with names, one for each (learning rate, weight decay)."""
    groups = {}
    for rule in rules:
        group = groups.setdefault((rule.lr, rule.weight_decay), [])
        group.append((rule.name, rule.parameter))
    return [
        {"params": named, "lr": lr, "weight_decay": weight_decay}
        for (lr, weight_decay), named in groups.items()
    ]


def _add_gradient_clipping(cfg, optimizer):
    clip = cfg.SOLVER.CLIP_GRADIENTS
    per_parameter = [kind.value for kind in GradientClipType]
    if not clip.ENABLED:
        return optimizer
    if clip.CLIP_TYPE in per_parameter:
        return maybe_add_gradient_clipping(cfg, optimizer)
    if clip.CLIP_TYPE != "full_model":
        raise UserError(
            f"SOLVER.CLIP_GRADIENTS.CLIP_TYPE {clip.CLIP_TYPE!r} does not exist: "
            f"{', '.join(['full_model', *per_parameter])}"
        )
    if clip.CLIP_VALUE > 0:
        clip_full_model(optimizer, clip.CLIP_VALUE, clip.NORM_TYPE)
    return optimizer


def clip_full_model(optimizer, max_norm, norm_type=2.0):
    """Let every step first scale all gradients so that their joint norm is at most ``max_norm``.

    Right under ``torch.amp.GradScaler`` too, which has unscaled the gradients by then, unless the
    optimizer unscales them itself inside its step (the fused ones, here of CPUs alone). A step
    raises FloatingPointError, and changes no weight, if that norm is NaN or infinite.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    on_cpu = all(p.device.type == "cpu" for p in parameters)
    assert on_cpu or not getattr(optimizer, "_step_supports_amp_scaling", False), "fused optimizer"

    def clip(optimizer, args, kwargs):
        norm = nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)
        if not norm.isfinite():
            raise FloatingPointError(f"the norm of the gradients is {norm.item()}")

    optimizer.register_step_pre_hook(clip)


def optimizer_table(rules):
    """Text table of name, shape, learning rate and weight decay, and the total in millions."""
    rows = [
        (r.name, "x".join(map(str, r.parameter.shape)), f"{r.lr:.2e}", f"{r.weight_decay:.2e}")
        for r in rules
    ]
    total = sum(rule.parameter.numel() for rule in rules)
    rows.append(("total", f"{total / 1e6:.2f}M", "", ""))
    headers = ("parameter", "shape", "lr", "weight decay")
    return tabulate(rows, headers, tablefmt="presto", disable_numparse=True)


def build_lr_scheduler(cfg, optimizer):
    """The schedule that SOLVER.LR_SCHEDULER_NAME names; SAN's is DeepLab's WarmupPolyLR.

    Raises:
        UserError: a name that does not exist.
    """
    if cfg.SOLVER.LR_SCHEDULER_NAME not in LR_SCHEDULERS:
        raise UserError(
            f"SOLVER.LR_SCHEDULER_NAME {cfg.SOLVER.LR_SCHEDULER_NAME!r} does not exist: "
            f"{', '.join(LR_SCHEDULERS)}"
        )
    return build_deeplab_lr_scheduler(cfg, optimizer)


@contextlib.contextmanager
def keep_hyperparameters(optimizer, scheduler):
    """Load states inside the block without the learning rates, schedule, decays... of their time.

    The optimizer takes its moments from them and the schedule its position; the learning rates are
    then those of the present schedule at that position.
    """
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    schedule = {k: v for k, v in vars(scheduler).items() if k not in POSITION}
    yield
    vars(scheduler).update(schedule)
    rates = scheduler.get_lr()
    for group, kept, lr in zip(optimizer.param_groups, groups, rates, strict=True):
        group.update(kept, lr=lr)

"""Parameter groups, gradient clipping and schedule, against the published recipe."""

import pytest
import torch
from detectron2.config import get_cfg
from detectron2.projects.deeplab import add_deeplab_config
from torch import nn

from san.config import add_san_config, load_config
from san.errors import UserError
from san.name_map import to_official
from san.solver import (
    build_lr_scheduler,
    build_optimizer,
    keep_hyperparameters,
    optimizer_table,
    parameter_rules,
)
from tests.parity import build_filled, load_golden, training_inputs, use_named_draws


class ScaleNorm(nn.Module):
    """A norm layer of its own class, as the fusion layers have one."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))


class Part(nn.Module):
    """A layer, a norm, a custom norm and an embedding of every kind."""

    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.own_norm = ScaleNorm()
        self.table = nn.Embedding(3, 4)
        self.query_pos_embed = nn.Parameter(torch.randn(3, 4))
        self.no_object_embed = nn.Parameter(torch.randn(1, 4))
        self.frozen = nn.Parameter(torch.randn(2), requires_grad=False)

    def forward(self, x):
        x = self.own_norm.weight * self.norm(self.proj(x)) + self.table.weight[0]
        return (x * self.query_pos_embed[0] * self.no_object_embed).square().sum()


class Model(nn.Module):
    """One part under each name that the rules know, and one under a name they do not."""

    def __init__(self):
        super().__init__()
        for name in ("side_adapter", "mask_decoder", "clip", "mask_recognition", "text_classifier"):
            self.add_module(name, Part())

    def forward(self, x):
        return sum(part(x) for part in self.children())


def make_cfg(*opts):
    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_san_config(cfg)
    cfg.SOLVER.BASE_LR = 1e-2
    cfg.SOLVER.WEIGHT_DECAY = 0.1
    cfg.merge_from_list(list(opts))
    return cfg


def full_model_clipping(value):
    key = "SOLVER.CLIP_GRADIENTS."
    return [key + "ENABLED", True, key + "CLIP_TYPE", "full_model", key + "CLIP_VALUE", value]


def make_model():
    torch.manual_seed(0)
    return Model()


def test_learning_rates():
    cfg = make_cfg("SOLVER.BACKBONE_MULTIPLIER", 0.5, "SOLVER.CLIP_MULTIPLIER", 0.1)
    for rule in parameter_rules(cfg.SOLVER, make_model()):
        part = rule.name.split(".")[0]
        factor = {"side_adapter": 0.5, "mask_decoder": 0.5, "clip": 0.1, "mask_recognition": 0.1}
        assert rule.lr == pytest.approx(1e-2 * factor.get(part, 1.0)), rule.name


def test_weight_decay():
    solver = make_cfg("SOLVER.WEIGHT_DECAY_NORM", 0.3, "SOLVER.WEIGHT_DECAY_EMBED", 0.4).SOLVER
    decays = {r.name: r.weight_decay for r in parameter_rules(solver, make_model())}
    assert {k: v for k, v in decays.items() if k.startswith("clip.")} == {
        "clip.query_pos_embed": 0.4,
        "clip.no_object_embed": 0.1,
        "clip.proj.weight": 0.1,
        "clip.proj.bias": 0.1,
        "clip.norm.weight": 0.3,
        "clip.norm.bias": 0.3,
        "clip.own_norm.weight": 0.1,
        "clip.table.weight": 0.4,
    }


def test_weight_decay_of_biases():
    """Of all that has one dimension and is neither norm nor embedding."""
    options = ["SOLVER.WEIGHT_DECAY_BIAS", 0.05, "SOLVER.WEIGHT_DECAY_EMBED", 0.4]
    rules = parameter_rules(make_cfg(*options).SOLVER, make_model())
    decays = {r.name.removeprefix("clip."): r.weight_decay for r in rules}
    assert decays["proj.bias"] == decays["own_norm.weight"] == 0.05
    assert decays["proj.weight"] == 0.1 and decays["norm.bias"] == 0
    assert decays["table.weight"] == decays["query_pos_embed"] == 0.4


def test_moments_of_adamw():
    options = ["SOLVER.BETAS", [0.9, 0.98], "SOLVER.EPS", 1e-6]
    defaults = [build_optimizer(make_cfg(*o), make_model()).defaults for o in ([], options)]
    assert [d["betas"] for d in defaults] == [(0.9, 0.999), (0.9, 0.98)]
    assert [d["eps"] for d in defaults] == [1e-8, 1e-6]


def test_shared_parameter_once():
    model = make_model()
    model.clip.proj = model.side_adapter.proj
    optimizer = build_optimizer(make_cfg(), model)
    names = [name for group in optimizer.param_groups for name in group["param_names"]]
    assert "side_adapter.proj.weight" in names and "clip.proj.weight" not in names


def test_groups_keep_names():
    model = make_model()
    optimizer = build_optimizer(make_cfg("SOLVER.CLIP_MULTIPLIER", 0.1), model)
    assert len(optimizer.param_groups) == 4  # two learning rates, with and without decay
    parameters = dict(model.named_parameters())
    for group in optimizer.param_groups:
        for name, parameter in zip(group["param_names"], group["params"], strict=True):
            assert parameter is parameters[name]


@pytest.mark.parametrize("name", ["ADAMW", "SGD"])
def test_steps_equal_one_group_per_parameter(name):
    """Three clipped steps equal those of PyTorch's optimizer with a group for each parameter."""
    cfg = make_cfg("SOLVER.OPTIMIZER", name, "SOLVER.CLIP_MULTIPLIER", 0.1)
    cfg.merge_from_list(full_model_clipping(0.01))
    model, reference = make_model(), make_model()
    optimizer = build_optimizer(cfg, model)
    groups = [
        {"params": [r.parameter], "lr": r.lr, "weight_decay": r.weight_decay}
        for r in parameter_rules(cfg.SOLVER, reference)
    ]
    one_each = (
        torch.optim.AdamW(groups) if name == "ADAMW" else torch.optim.SGD(groups, momentum=0.9)
    )
    for step in range(3):
        x = torch.full((2, 4), step + 1.0) + torch.arange(4)
        for m in (model, reference):
            m.zero_grad()
            m(x).backward()
        optimizer.step()
        nn.utils.clip_grad_norm_([g["params"][0] for g in groups], 0.01)
        one_each.step()
    for (key, ours), theirs in zip(model.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7, msg=key)


def test_full_model_clipping_norm():
    model = make_model()
    optimizer = build_optimizer(make_cfg(*full_model_clipping(0.01)), model)
    model(torch.ones(2, 4)).backward()
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    assert nn.utils.get_total_norm(gradients) > 1
    optimizer.step()
    assert nn.utils.get_total_norm(gradients).item() == pytest.approx(0.01, rel=1e-4)


def test_full_model_clipping_under_grad_scaler():
    """Gradients are unscaled before they are clipped: a step with a scaler is a step without."""
    models = make_model(), make_model()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for model, scaled in zip(models, (True, False), strict=True):
        optimizer = build_optimizer(
            make_cfg(*full_model_clipping(0.01), "SOLVER.OPTIMIZER", "SGD"), model
        )
        loss = model(torch.ones(2, 4))
        (scaler.scale(loss) if scaled else loss).backward()
        scaler.step(optimizer) if scaled else optimizer.step()
    for ours, theirs in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


def test_clipping_by_value():
    key = "SOLVER.CLIP_GRADIENTS."
    cfg = make_cfg(key + "ENABLED", True, key + "CLIP_TYPE", "value", key + "CLIP_VALUE", 0.001)
    model = make_model()
    optimizer = build_optimizer(cfg, model)
    model(torch.ones(2, 4)).backward()
    optimizer.step()
    assert max(p.grad.abs().max() for p in model.parameters() if p.grad is not None) <= 0.001


@pytest.mark.parametrize("opts, known", [
    (["SOLVER.OPTIMIZER", "LION"], "ADAMW or SGD"),
    (["SOLVER.CLIP_GRADIENTS.ENABLED", True, "SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "some"],
     "full_model, value, norm"),
])  # fmt: skip
def test_unknown_names(opts, known):
    with pytest.raises(UserError, match=f"{opts[0].split('.')[1]}.*{opts[-1]}.*{known}"):
        build_optimizer(make_cfg(*opts), make_model())


def test_table():
    rules = parameter_rules(make_cfg().SOLVER, make_model())
    lines = optimizer_table(rules).splitlines()
    assert len(lines) == 2 + len(rules) + 1
    row = next(line for line in lines if "clip.table.weight" in line)
    assert [cell.strip() for cell in row.split("|")[1:]] == ["3x4", "1.00e-02", "0.00e+00"]
    assert "0.00M" in lines[-1]


def test_published_schedule():
    """lr(it) = 1e-4 (1 - it / 60000)^0.9, and 5.008e-9 at the last iteration, as published."""
    cfg = make_cfg("SOLVER.BASE_LR", 1e-4, "SOLVER.MAX_ITER", 60000, "SOLVER.WARMUP_ITERS", 0)
    cfg.merge_from_list(["SOLVER.WARMUP_FACTOR", 1.0, "SOLVER.LR_SCHEDULER_NAME", "WarmupPolyLR"])
    optimizer = build_optimizer(cfg, make_model())
    scheduler = build_lr_scheduler(cfg, optimizer)
    for iteration in (0, 1, 30000, 59999):
        scheduler.last_epoch = iteration - 1
        optimizer.step()
        scheduler.step()
        expected = 1e-4 * (1 - iteration / 60000) ** 0.9
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-12)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(5.008e-9, rel=1e-3)


def test_a_resumed_schedule_can_be_longer():
    """10 of 10 iterations done; then 20 are asked for, with half the rate and twice the decay."""
    poly = ["SOLVER.WARMUP_ITERS", 0, "SOLVER.WARMUP_FACTOR", 1.0]
    poly += ["SOLVER.LR_SCHEDULER_NAME", "WarmupPolyLR"]
    cfg = make_cfg("SOLVER.MAX_ITER", 10, *poly)
    begun = build_optimizer(cfg, make_model())
    schedule = build_lr_scheduler(cfg, begun)
    for _ in range(10):
        begun.step()
        schedule.step()

    cfg = make_cfg("SOLVER.MAX_ITER", 20, "SOLVER.BASE_LR", 5e-3, "SOLVER.WEIGHT_DECAY", 0.2, *poly)
    resumed = build_optimizer(cfg, make_model())
    longer = build_lr_scheduler(cfg, resumed)
    with keep_hyperparameters(resumed, longer):
        resumed.load_state_dict(begun.state_dict())
        longer.load_state_dict(schedule.state_dict())
    for iteration in (10, 11):
        for group in resumed.param_groups:
            assert group["lr"] == pytest.approx(5e-3 * (1 - iteration / 20) ** 0.9)
        resumed.step()
        longer.step()
    assert {group["weight_decay"] for group in resumed.param_groups} == {0.0, 0.2}


def test_unknown_schedule():
    cfg = make_cfg("SOLVER.LR_SCHEDULER_NAME", "Cosine")
    with pytest.raises(UserError, match="'Cosine'.*WarmupPolyLR"):
        build_lr_scheduler(cfg, build_optimizer(cfg, make_model()))


@pytest.fixture(scope="module")
def stepped():
    """The tiny SAN after the losses of golden case t128 and one step of its published recipe."""
    golden = load_golden("golden_tiny")
    info = golden.meta["info"]["t128"]
    model, _ = build_filled("tiny")
    inputs = training_inputs("t128", info)
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_named_draws(model.criterion, "t128", inputs, monkeypatch)
        sum(model.train()(inputs).values()).backward()
    cfg = load_config("quick/san_tiny.yaml")
    optimizer = build_optimizer(cfg, model)
    rules = parameter_rules(cfg.SOLVER, model)
    gradients = [rule.parameter.grad.clone() for rule in rules]
    before = [rule.parameter.detach().clone() for rule in rules]
    optimizer.step()
    changes = [rule.parameter.detach() - old for rule, old in zip(rules, before, strict=True)]
    return golden, info, rules, gradients, changes


def test_rules_are_the_official_ones(stepped):
    """Learning rate and weight decay of each of the tiny model's trained parameters."""
    _, info, rules, *_ = stepped
    ours = to_official({rule.name: rule for rule in rules})
    assert ours.keys() == info["optimizer"].keys()
    for name, official in info["optimizer"].items():
        assert ours[name].lr == pytest.approx(official["lr"]), name
        assert ours[name].weight_decay == official["weight_decay"], name


def test_step_is_the_official_one(stepped):
    """One official step moves every weight by about the learning rate, 1e-4: ours too, alike."""
    golden, info, rules, gradients, changes = stepped
    total = nn.utils.get_total_norm(gradients).item()
    assert total == pytest.approx(info["grad_total_norm"], rel=1e-4)
    names = [rule.name for rule in rules]
    changes = to_official(dict(zip(names, changes, strict=True)))
    weights = to_official({rule.name: rule.parameter.detach() for rule in rules})
    norms, first8 = golden.value("t128/step_norms"), golden.value("t128/step_first8")
    for name, norm, first in zip(info["grad_names"], norms, first8, strict=True):
        ours = weights[name].flatten()[:8]
        torch.testing.assert_close(
            ours, torch.from_numpy(first[: len(ours)]), rtol=0, atol=1e-6, msg=name
        )
        assert changes[name].double().norm().item() == pytest.approx(norm, rel=1e-3), name

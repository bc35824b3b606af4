"""The trainer on miniature data: resume, two processes, what is trained, what stops it."""

import json
import shutil

import pytest
import torch
from detectron2.engine import HookBase, launch
from detectron2.utils import comm
from detectron2.utils.events import EventStorage

from san.engine import Trainer
from san.errors import UserError
from san.hooks import WandbWriter
from tests.miniatures import write_coco_stuff, write_voc
from tests.training import assert_same_bits, is_trained, save_weights, tiny_config

VOC = "('voc_sem_seg_val',)"


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_coco_stuff(root, num_train=5, num_val=2)
    write_voc(root)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "filled.pth"
    save_weights(path)
    return path


@pytest.fixture(autouse=True)
def _datasets(monkeypatch, data_root):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(data_root))


@pytest.fixture
def build(weights, tmp_path):
    """Function: KEY, VALUE, ... -> a trainer that has its weights and writes to tmp_path/out."""

    def build(*opts, output_dir="out", resume=False):
        trainer = Trainer(tiny_config(weights, tmp_path / output_dir, *opts))
        trainer.resume_or_load(resume=resume)
        return trainer

    return build


class RecordLosses(HookBase):
    """Keeps the total loss of every iteration, the mean over all processes, on the main one."""

    def __init__(self):
        self.losses = []

    def after_step(self):
        if comm.is_main_process():
            self.losses.append(self.trainer.storage.latest()["total_loss"][0])


def train_recorded(trainer):
    record = RecordLosses()
    trainer.register_hooks([record])
    trainer.train()
    return record.losses


def snapshot(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def read(path):
    return torch.load(path, weights_only=True)


def test_trains_what_the_recipe_trains(build):
    """All that is trained has a gradient and moves; all the rest keeps its bits."""
    trainer = build("SOLVER.MAX_ITER", 2)
    before = snapshot(trainer.model)
    trainer.train()
    parameters = dict(trainer.model.named_parameters())
    assert {n for n, p in parameters.items() if p.grad is not None} == set(
        filter(is_trained, before)
    )
    assert sum(p.numel() for n, p in parameters.items() if is_trained(n)) == 182_386
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[name]) != is_trained(name), name


@pytest.mark.parametrize("opts", [
    ("SEED", 0),
    ("SEED", -1, "DATALOADER.NUM_WORKERS", 2, "MODEL.SIDE_ADAPTER.DROP_PATH_RATE", 0.5),
])  # fmt: skip
def test_resume_is_exact(build, tmp_path, opts):
    """6 iterations equal 3 and, resumed, 3 more, in all bits, past a checkpoint cut short."""
    straight, resumed = tmp_path / "out", tmp_path / "resumed"
    build("SOLVER.CHECKPOINT_PERIOD", 3, *opts).train()
    resumed.mkdir()
    shutil.copy(straight / "model_0000002.pth", resumed)
    whole = (straight / "model_0000005.pth").read_bytes()
    (resumed / "model_0000005.pth").write_bytes(whole[: len(whole) // 2])
    (resumed / "last_checkpoint").write_text("model_0000005.pth")

    trainer = build(*opts, output_dir="resumed", resume=True)
    assert trainer.start_iter == 3
    trainer.train()
    ours, theirs = read(resumed / "model_final.pth"), read(straight / "model_final.pth")
    assert_same_bits(ours, theirs)
    assert ours["iteration"] == 5
    assert ours["trainer"]["_trainer"]["optimizer"]["state"][0]["step"] == 6


def test_resume_with_other_hyperparameters(build, tmp_path):
    """Longer, and with a lower learning rate: lr(it) = 1e-5 (1 - it / 6)^0.9 from here on."""
    build("SOLVER.MAX_ITER", 3).train()
    trainer = build("SOLVER.BASE_LR", 1e-5, "SOLVER.WEIGHT_DECAY", 0.5, resume=True)
    assert trainer.start_iter == 3
    for group in trainer.optimizer.param_groups:
        assert group["lr"] == pytest.approx(1e-5 * (1 - 3 / 6) ** 0.9)
    trainer.train()
    rates = [json.loads(line)["lr"] for line in (tmp_path / "out" / "metrics.json").open()]
    assert rates[-1] == pytest.approx(1e-5 * (1 - 5 / 6) ** 0.9)
    optimizer = read(tmp_path / "out" / "model_final.pth")["trainer"]["_trainer"]["optimizer"]
    assert {group["weight_decay"] for group in optimizer["param_groups"]} == {0.0, 0.5}
    assert all(state["step"] == 6 for state in optimizer["state"].values())


def test_resume_past_the_end(build):
    build("SOLVER.MAX_ITER", 2).train()
    with pytest.raises(UserError, match="after 2 iterations.*SOLVER.MAX_ITER is 1"):
        build("SOLVER.MAX_ITER", 1, resume=True)


def test_resume_of_a_finished_training_evaluates_again(build, tmp_path):
    build("SOLVER.MAX_ITER", 2).train()
    trainer = build("SOLVER.MAX_ITER", 2, "DATASETS.TEST", VOC, resume=True)
    before = snapshot(trainer.model)
    trainer.train()
    assert_same_bits(snapshot(trainer.model), before)
    assert (tmp_path / "out" / "inference" / "results.json").is_file()


def test_random_seeds_differ(build):
    assert build("SEED", -1).seed != build("SEED", -1).seed


def test_resume_with_another_optimizer(build):
    build("SOLVER.MAX_ITER", 1).train()
    with pytest.raises(UserError, match=r"OUTPUT_DIR .*another optimizer.*MODEL\.WEIGHTS"):
        build("SOLVER.WEIGHT_DECAY_NORM", 0.5, resume=True)


def _train_on_two(cfg, path):
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    losses = train_recorded(trainer)
    if comm.is_main_process():
        path.write_text(json.dumps(losses))


def test_two_processes_equal_one(build, weights, tmp_path):
    """The same global batches give the same losses to 1e-5, iteration by iteration."""
    one = train_recorded(build("SOLVER.MAX_ITER", 4, "SOLVER.BASE_LR", 1e-3))
    cfg = tiny_config(weights, tmp_path / "two", "SOLVER.MAX_ITER", 4, "SOLVER.BASE_LR", 1e-3)
    launch(_train_on_two, 2, dist_url="auto", args=(cfg, tmp_path / "losses.json"))
    two = json.loads((tmp_path / "losses.json").read_text())
    assert two == pytest.approx(one, rel=1e-5)
    assert len(set(one)) == 4
    ours, theirs = (read(tmp_path / d / "model_final.pth")["model"] for d in ("two", "out"))
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=0, atol=1e-4, msg=name)


def test_broken_loss_stops_before_the_weights_change(build, tmp_path):
    """Iteration 0 throws the weights out of range; iteration 1 must change nothing any more."""
    trainer = build(
        *("SOLVER.BASE_LR", 1e30, "SOLVER.MAX_ITER", 2, "SOLVER.CHECKPOINT_PERIOD", 1),
        *("DATASETS.TEST", VOC),
    )
    with pytest.raises(UserError, match="iteration 1: the loss is not finite .*loss_ce.*--resume"):
        trainer.train()
    checkpoint = read(tmp_path / "out" / "model_0000000.pth")
    assert_same_bits(snapshot(trainer.model), dict(checkpoint["model"]))
    optimizer = checkpoint["trainer"]["_trainer"]["optimizer"]
    assert_same_bits(trainer.optimizer.state_dict()["state"], optimizer["state"])
    assert [p.name for p in (tmp_path / "out").glob("*.pth")] == ["model_0000000.pth"]
    assert not (tmp_path / "out" / "inference").exists()


def test_broken_gradient_stops_before_the_weights_change(build):
    trainer = build()
    before = snapshot(trainer.model)
    trainer.model.side_adapter.pos_embed.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(UserError, match="iteration 0: the norm of the gradients is"):
        trainer.train()
    assert_same_bits(snapshot(trainer.model), before)
    assert not trainer.optimizer.state


def test_user_error_leaves_no_trace_in_the_log(build, caplog):
    with pytest.raises(UserError):
        build("SOLVER.BASE_LR", 1e30).train()
    records = [r for r in caplog.records if "Exception during training" in r.message]
    assert len(records) == 1 and records[0].exc_info is None
    assert "the loss is not finite" in records[0].message


def test_periodic_evaluation_and_metrics(build, tmp_path):
    build("SOLVER.MAX_ITER", 2, "TEST.EVAL_PERIOD", 1, "DATASETS.TEST", VOC).train()
    lines = (tmp_path / "out" / "metrics.json").read_text().splitlines()
    metrics = {k: v for line in lines for k, v in json.loads(line).items()}
    assert {"lr", "total_loss", "loss_ce", "loss_mask_0", "data_time"} <= metrics.keys()
    scores = {k for k in metrics if k.startswith("sem_seg/")}
    names = ("mIoU", "fwIoU", "mACC", "pACC", "mIoU_ci95_low", "mIoU_ci95_high")
    assert scores == {f"sem_seg/{name}" for name in names}
    report = json.loads((tmp_path / "out" / "inference" / "results.json").read_text())
    assert report["voc_sem_seg_val"]["mIoU"] == metrics["sem_seg/mIoU"]
    assert list((tmp_path / "out").glob("events.out.tfevents.*"))


def test_mixed_precision_is_set_aside_on_a_cpu(build, caplog):
    caplog.set_level("INFO")
    build("SOLVER.AMP.ENABLED", True, "SOLVER.MAX_ITER", 1).train()
    assert "training in float32 on the CPU" in caplog.text


def test_number_of_classes(build):
    with pytest.raises(UserError, match="NUM_CLASSES is 16.*coco_2017_train.* has 171"):
        build("MODEL.SAN.NUM_CLASSES", 16)


@pytest.mark.parametrize("key, name", [
    ("DATASETS.TRAIN", "coco_2017_train_stuff_sem_seg"),
    ("DATASETS.TEST", "ade20k_full_sem_seg_val"),
])  # fmt: skip
def test_missing_data_before_training(build, tmp_path, monkeypatch, key, name):
    if key == "DATASETS.TRAIN":
        monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    with pytest.raises(UserError, match=f"{name}.*does not exist"):
        build(key, f"('{name}',)")


def test_wandb_not_installed(build, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(UserError, match="WANDB.ENABLED.*pip install wandb"):
        build("WANDB.ENABLED", True)


def test_wandb_run(build, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    trainer = build("WANDB.ENABLED", True, "WANDB.NAME", "first", "SOLVER.MAX_ITER", 2)
    (writer,) = [w for w in trainer.build_writers() if isinstance(w, WandbWriter)]
    with EventStorage(7) as storage:
        storage.put_scalar("total_loss", 2.5)
        writer.write()
        storage.iter = 8
        storage.put_scalar("time", 0.5)
        storage.put_scalar("old", 1.0, cur_iter=3)  # older than what was sent: not sent
        writer.write()
        storage.iter = 9
        storage.put_scalar("lr", 0.1)
        writer.write()  # an iteration's values count when the next one's arrive
    run = writer._run
    assert run.name == "first" and run.config["SOLVER"]["MAX_ITER"] == 2
    assert run.summary["total_loss"] == 2.5 and run.summary["time"] == 0.5
    assert "old" not in dict(run.summary)
    writer.close()

"""Training and evaluation: Detectron2's trainer with our data, optimizer and checkpoints."""

import inspect
import logging
import math
import weakref
from pathlib import Path

import torch
from detectron2.engine import (
    AMPTrainer,
    DefaultTrainer,
    SimpleTrainer,
    TrainerBase,
    create_ddp_model,
    hooks,
)
from detectron2.evaluation import verify_results
from detectron2.evaluation.testing import flatten_results_dict
from detectron2.utils import comm
from torch.nn.parallel import DistributedDataParallel

from san.checkpoint import Checkpointer, name_of_weights
from san.checks import check_config, check_test_datasets, check_words_fit
from san.data import build_test_loader, build_train_loader
from san.data.tasks import RETRIEVAL, SEM_SEG, ZERO_SHOT, task_of
from san.dataset_names import short_name
from san.errors import UserError
from san.evaluation import (
    OracleVocabulary,
    RetrievalEvaluator,
    SegmentorWithTTA,
    SemSegEvaluator,
    SemSegOptions,
    ZeroShotEvaluator,
)
from san.evaluation.card import describe_weights, write_card
from san.evaluation.cost import Measured, largest_memory
from san.evaluation.report import METRICS, write_results
from san.hooks import (
    ClampLogitScale,
    EvalHook,
    ExportClip,
    SeedStep,
    WandbWriter,
    no_trace_for_user_errors,
    stop_on_broken_loss,
)
from san.modeling.meta_arch import CLIP
from san.modeling.meta_arch.open_vocab import OpenVocabSegmentor
from san.modeling.precision import compute_in
from san.solver import build_lr_scheduler, build_optimizer, keep_hyperparameters

logger = logging.getLogger(__name__)

# Beside SemSegEvaluator, which has options
EVALUATORS = {
    ZERO_SHOT: ZeroShotEvaluator,
    RETRIEVAL: RetrievalEvaluator,
}


class Trainer(DefaultTrainer):
    """Trains a model on one or many processes, on GPUs or CPUs.

    Use as Detectron2's DefaultTrainer: ``Trainer(cfg)``, ``resume_or_load()``, ``train()``. On one
    process a resumed training gives the bits of an uninterrupted one.
    """

    def __init__(self, cfg):
        """Build model, optimizer, data and hooks.

        Raises:
            UserError: a data set that is missing, a config that contradicts itself.
        """
        TrainerBase.__init__(self)  # DefaultTrainer's would place processes on GPUs in any case
        self.cfg = cfg = self.auto_scale_workers(cfg, comm.get_world_size())
        check_config(cfg)
        check_test_datasets(cfg)
        self.start_iter, self.max_iter = 0, cfg.SOLVER.MAX_ITER
        data_loader = self.build_train_loader(cfg)
        model = self.build_model(cfg)
        check_words_fit(cfg, model)
        optimizer = self.build_optimizer(cfg, model)
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        distributed = _distribute(model)
        stop_on_broken_loss(distributed)
        self._trainer = _build_loop(cfg, distributed, data_loader, optimizer)
        self.checkpointer = Checkpointer(model, cfg.OUTPUT_DIR, trainer=weakref.proxy(self))
        self.register_hooks(self.build_hooks())

    @property
    def seed(self):
        """The seed (int >= 0) of data and steps: SEED, or a random one shared by all processes."""
        return self.data_loader.seed

    def build_hooks(self):
        """Hooks in the order in which they act: the checkpoint is saved before evaluation."""
        model = self.checkpointer.model
        hook_list = [
            hooks.IterationTimer(),
            SeedStep(),
            hooks.LRScheduler(),
        ]
        if isinstance(model, CLIP):
            hook_list.append(ClampLogitScale(model))
        if comm.is_main_process():
            period = self.cfg.SOLVER.CHECKPOINT_PERIOD
            hook_list.append(hooks.PeriodicCheckpointer(self.checkpointer, period))
            if isinstance(model, CLIP):
                path = Path(self.cfg.OUTPUT_DIR) / "clip.safetensors"
                hook_list.append(ExportClip(model, path))
        hook_list.append(EvalHook(self.cfg.TEST.EVAL_PERIOD, self._evaluate))
        if comm.is_main_process():
            hook_list.append(hooks.PeriodicWriter(self.build_writers()))
        return hook_list

    def _evaluate(self):
        """Results for the writers: overall metrics without those of every class, without NaN."""
        weights = f"training, {min(self.iter + 1, self.max_iter)} iterations"
        self._last_eval_results = self.test(self.cfg, self.model, weights)
        results = flatten_results_dict(self._last_eval_results)
        names = {name for names in METRICS.values() for name in names}
        overall = {k: v for k, v in results.items() if k.rsplit("/", 1)[-1] in names}
        return {k: v for k, v in overall.items() if not math.isnan(v)}

    def build_writers(self):
        """Console, metrics.json and TensorBoard; Weights & Biases too where the config asks."""
        writers = super().build_writers()
        return [*writers, WandbWriter(self.cfg)] if self.cfg.WANDB.ENABLED else writers

    def train(self):
        """Train from ``start_iter`` to SOLVER.MAX_ITER and evaluate.

        Raises:
            UserError: the loss became NaN or infinite; a file of the data set is broken.
        """
        with no_trace_for_user_errors():
            return super().train()

    def run_step(self):
        """One iteration; a UserError, before the weights change, if its numbers are not finite."""
        try:
            super().run_step()
        except FloatingPointError as error:
            raise UserError(
                f"iteration {self.iter}: {error}; training stopped before the weights changed. "
                "Lower SOLVER.BASE_LR or the loss weights MODEL.SAN.*_WEIGHT; start anew, or go "
                "on from the last checkpoint with --resume"
            ) from error

    def resume_or_load(self, resume=True):
        """Go on from the newest checkpoint in OUTPUT_DIR if there is one, else take MODEL.WEIGHTS.

        Raises:
            UserError: a checkpoint of another model or optimizer, or one not seen by all processes.
        """
        super().resume_or_load(resume)
        if len(set(comm.all_gather(self.start_iter))) > 1:
            raise UserError(
                f"OUTPUT_DIR {self.cfg.OUTPUT_DIR}: the processes do not see the same checkpoint "
                "to resume from; use a folder that all machines share"
            )
        self.data_loader.start_iter = self.start_iter

    def state_dict(self):
        """State of a checkpoint: iteration, optimizer, schedule, gradient scaler, seed."""
        return {**super().state_dict(), "seed": self.seed}

    def load_state_dict(self, state_dict):
        """Go on where :meth:`state_dict` was called: iteration, moments of the optimizer, seed.

        Learning rates, schedule, weight decay, and SEED where it is set, are those of the config,
        so that a training can be resumed with a lower BASE_LR or a higher MAX_ITER.
        """
        done = state_dict["iteration"] + 1
        if done > self.max_iter:
            raise UserError(
                f"the checkpoint in OUTPUT_DIR {self.cfg.OUTPUT_DIR} was saved after {done} "
                f"iterations, but SOLVER.MAX_ITER is {self.max_iter}; raise it to go on"
            )
        try:
            with keep_hyperparameters(self.optimizer, self.scheduler):
                super().load_state_dict(state_dict)
        except (KeyError, ValueError) as error:
            raise UserError(
                f"the checkpoint in OUTPUT_DIR {self.cfg.OUTPUT_DIR} was saved with another "
                f"optimizer or precision ({error}); resume with the SOLVER keys it was trained "
                "with, or give it as MODEL.WEIGHTS and leave out --resume"
            ) from error
        if self.cfg.SEED < 0:
            self.data_loader.seed = state_dict["seed"]

    build_optimizer = staticmethod(build_optimizer)
    build_lr_scheduler = staticmethod(build_lr_scheduler)
    build_train_loader = staticmethod(build_train_loader)
    build_test_loader = staticmethod(build_test_loader)

    @classmethod
    def build_evaluator(cls, cfg, dataset_name, folder="inference"):
        """Evaluator of one data set; its reports go to OUTPUT_DIR/<folder>/<dataset_name>.

        For a file that is its name without folder and suffix, see `short_name`.
        """
        output_dir = Path(cfg.OUTPUT_DIR) / folder / short_name(dataset_name)
        task = task_of(dataset_name)
        if task == SEM_SEG:
            return SemSegEvaluator(dataset_name, output_dir, SemSegOptions.from_config(cfg))
        return EVALUATORS[task](dataset_name, output_dir)

    @classmethod
    def test(cls, cfg, model, weights="", folder="inference"):
        """Evaluate on all of DATASETS.TEST.

        Args:
            cfg, model: the model has its weights already.
            weights (str): where they came from, for the card.
            folder (str): below OUTPUT_DIR, for ``results.md``, ``results.json``, the card
                (`san.evaluation.card`) and the reports of each data set.

        Returns:
            dict: data set -> {kind of result, as "sem_seg": metrics}, without the data set where
            there is but one; empty on all but the main process.
        """
        names = cfg.DATASETS.TEST
        evaluators = [Measured(cls.build_evaluator(cfg, name, folder)) for name in names]
        segmentor = OracleVocabulary(model) if cfg.TEST.ORACLE_VOCABULARY else model
        results = super().test(cfg, segmentor, evaluators)
        memory = largest_memory()
        if comm.is_main_process() and names:
            by_name = results if len(names) > 1 else {names[0]: results}
            folder = Path(cfg.OUTPUT_DIR) / folder
            write_results(folder, by_name)
            origin = describe_weights(_without_wrappers(model), weights)
            evaluated = [e.describe(r) for r, e in zip(by_name.values(), evaluators, strict=True)]
            write_card(folder, evaluated, memory, origin, cfg)
        return results

    @classmethod
    def test_with_tta(cls, cfg, model, weights=""):
        """As :meth:`test` with the augmentations of TEST.AUG; "_TTA" is added to the names."""
        augmented = SegmentorWithTTA.from_config(cfg, model)
        results = cls.test(cfg, augmented, weights, "inference_TTA")
        return {f"{name}_TTA": result for name, result in results.items()}

    @classmethod
    def evaluate(cls, cfg, resume=False):
        """Evaluate MODEL.WEIGHTS on all of DATASETS.TEST; ``--eval-only`` and ``san evaluate``.

        Args:
            resume (bool): evaluate the newest checkpoint of OUTPUT_DIR, if there is one, instead.

        Raises:
            UserError: a data set that is missing, weights that do not fit.
            SystemExit: status 1, results other than TEST.EXPECTED_RESULTS.
        """
        check_test_datasets(cfg)
        model = cls.build_model(cfg)
        check_words_fit(cfg, model)
        checkpointer = Checkpointer(model, cfg.OUTPUT_DIR)
        weights = (checkpointer.get_checkpoint_file() if resume else "") or cfg.MODEL.WEIGHTS
        checkpointer.load(weights, checkpointables=[])
        weights = weights or name_of_weights(cfg, model)
        if isinstance(model, OpenVocabSegmentor):
            compute_in(model, cfg.TEST.DTYPE)
        results = cls.test(cfg, model, weights)
        if cfg.TEST.AUG.ENABLED:
            results.update(cls.test_with_tta(cfg, model, weights))
        if comm.is_main_process():
            verify_results(cfg, results)


def _without_wrappers(model):
    """The model inside of DistributedDataParallel and of test-time augmentation."""
    model = model.module if isinstance(model, DistributedDataParallel) else model
    return model.model if isinstance(model, SegmentorWithTTA) else model


def _distribute(model):
    """The model as this process trains it: in DistributedDataParallel if it is one of several.

    Buffers are constants, and evaluation calls the model of each process another number of times:
    a forward pass must not synchronize them.
    """
    on_cuda = next(model.parameters()).is_cuda
    device_ids = [torch.cuda.current_device()] if on_cuda else None
    known = inspect.signature(DistributedDataParallel).parameters
    old, new = "broadcast_buffers", "forward_sync_buffers"  # renamed in PyTorch
    return create_ddp_model(model, device_ids=device_ids, **{new if new in known else old: False})


def _build_loop(cfg, model, data_loader, optimizer):
    """Detectron2's loop for one precision; mixed precision is for GPUs."""
    on_cuda = next(model.parameters()).is_cuda
    if cfg.SOLVER.AMP.ENABLED and on_cuda:
        scaler = torch.amp.GradScaler("cuda")
        return AMPTrainer(model, data_loader, optimizer, grad_scaler=scaler)
    if cfg.SOLVER.AMP.ENABLED:
        logger.info("SOLVER.AMP.ENABLED is for GPUs: training in float32 on the CPU")
    return SimpleTrainer(model, data_loader, optimizer)

"""One command, many processes: started here (--num-gpus, --num-machines) or by torchrun."""

import logging
import os
import sys

import torch
import torch.multiprocessing as mp
from detectron2.engine import default_setup
from detectron2.engine import launch as detectron2_launch
from detectron2.engine.launch import DEFAULT_TIMEOUT
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger
from torch import distributed as dist

from san.allocator import keep_freed_memory
from san.errors import UserError


def available_device(device):
    """``device`` itself, or "cpu" where it is "cuda" and PyTorch sees no GPU."""
    return "cpu" if device.startswith("cuda") and not torch.cuda.is_available() else device


def setup(args, cfg, brief=False):
    """Finish the config of this process; set up its memory, loggers and random numbers.

    Args:
        args (argparse.Namespace): config_file and eval_only, of the command line.
        cfg: frozen by this.
        brief (bool): environment, config and model go to OUTPUT_DIR/log.txt alone; the terminal
            has progress, results and warnings.
    """
    keep_freed_memory()
    device = cfg.MODEL.DEVICE
    cfg.MODEL.DEVICE = available_device(device)
    cfg.freeze()
    if brief:
        _shorten_terminal(cfg.OUTPUT_DIR)
    default_setup(cfg, args)
    logger = setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="san")
    if device != cfg.MODEL.DEVICE:
        logger.warning("MODEL.DEVICE is %s, but PyTorch sees no GPU: running on the CPU", device)


def _shorten_terminal(output_dir):
    """Set up Detectron2's loggers as `default_setup` will, which then keeps them as they are."""
    rank = comm.get_rank()
    for logger in (
        setup_logger(output_dir, distributed_rank=rank, name="fvcore"),
        setup_logger(output_dir, distributed_rank=rank),
    ):
        for handler in logger.handlers:
            if handler.stream is sys.stdout:
                handler.addFilter(_is_for_terminal)


def _is_for_terminal(record):
    return record.levelno >= logging.WARNING or record.name == "detectron2.evaluation.evaluator"


def launch(function, options, device, args=()):
    """Call ``function(*args)`` in every process of a job and wait for all of them.

    Args:
        function (callable): of a module's top level, as new processes import it.
        options (argparse.Namespace): num_gpus (processes per machine), num_machines, machine_rank,
            dist_url ("auto": a free port of this machine).
        device (str): MODEL.DEVICE; with "cpu" the processes run on the CPU, GPUs or not.
        args (tuple): for ``function``; can be pickled.

    Raises:
        UserError: raised by ``function`` in any process, or for options that do not work.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return _run_under_torchrun(function, options, available_device(device), args)
    _check_options(options, device)
    num_processes = options.num_gpus * options.num_machines
    if num_processes > 1 and not device.startswith("cuda"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Detectron2 takes NCCL wherever it sees a GPU
    messages = mp.get_context("spawn").SimpleQueue()
    try:
        detectron2_launch(
            _catch_user_error if num_processes > 1 else function,
            options.num_gpus,
            options.num_machines,
            options.machine_rank,
            options.dist_url,
            (messages, function, args) if num_processes > 1 else args,
        )
    except (mp.ProcessExitedException, mp.ProcessRaisedException):
        if messages.empty():
            raise
        raise UserError(messages.get()) from None


def _catch_user_error(messages, function, args):
    """In a new process: send the message of a UserError to the one that started it."""
    try:
        function(*args)
        dist.destroy_process_group()
    except UserError as error:
        messages.put(str(error))
        sys.exit(2)


def _run_under_torchrun(function, options, device, args):
    """torchrun has started the processes: join their group."""
    if options.num_gpus * options.num_machines > 1:
        raise UserError(
            "torchrun decides the number of processes: leave out --num-gpus and --num-machines"
        )
    on_cuda = device.startswith("cuda")
    local_size = int(os.environ["LOCAL_WORLD_SIZE"])
    if on_cuda:
        _check_num_gpus(local_size, "torchrun --nproc-per-node")
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_cuda else "gloo", timeout=DEFAULT_TIMEOUT)
    comm.create_local_process_group(local_size)
    comm.synchronize()
    function(*args)
    dist.destroy_process_group()


def _check_options(options, device):
    """Raise UserError for numbers of processes and machines that cannot work."""
    if min(options.num_gpus, options.num_machines) < 1:
        raise UserError(
            f"--num-gpus {options.num_gpus} --num-machines {options.num_machines}: both must be at "
            "least 1 (MODEL.DEVICE cpu runs on the CPU)"
        )
    if options.num_gpus > 1 and device.startswith("cuda"):
        _check_num_gpus(options.num_gpus, "--num-gpus")
    if not 0 <= options.machine_rank < options.num_machines:
        raise UserError(
            f"--machine-rank {options.machine_rank} is not one of the {options.num_machines} "
            "machines of --num-machines; they count from 0"
        )
    if options.num_machines > 1 and options.dist_url == "auto":
        raise UserError(
            f"--num-machines {options.num_machines} needs --dist-url tcp://HOST:PORT, with the "
            "address of the machine of rank 0 and a free port there"
        )


def _check_num_gpus(wanted, option):
    present = torch.cuda.device_count()
    if wanted > present:
        raise UserError(
            f"{option} {wanted}: this machine has {present} GPUs that PyTorch can use; ask for no "
            "more than that, or add MODEL.DEVICE cpu to run the processes on the CPU"
        )

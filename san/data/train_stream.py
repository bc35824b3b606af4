"""The infinite training stream: item k depends on (seed, k) and on nothing else.

So the same global batches come out with any number of data loader workers and of processes, and
training resumes at any iteration.
"""

import contextlib
import itertools
import random

import numpy as np
import torch
from detectron2.utils import comm
from torch.utils.data import Dataset, Sampler


class TrainStream(Dataset):
    """Items of the training stream by their position, 0, 1, ... without end.

    Item k is record ``permutation(seed, k // N)[k % N]`` of the N records, mapped with the global
    random generators seeded from (seed, k). Before mapping the record gets "position", which is k,
    and "seed", an int for further random numbers that belong to this item. NumPy guarantees the
    streams of `SeedSequence` and `RandomState` from version to version, unlike torch's.
    """

    def __init__(self, records, mapper, seed):
        """
        Args:
            records (sequence[dict]): data set records.
            mapper (callable): record -> model input; may draw from the global generators.
            seed (int): >= 0.
        """
        self.records = records
        self.mapper = mapper
        self.seed = seed
        self._epoch, self._order = None, None  # the last permutation made

    def __len__(self):
        """Number of records, the length of one epoch; positions go on beyond it."""
        return len(self.records)

    def __getitem__(self, position):
        epoch, index = divmod(position, len(self.records))
        item_seed, *generator_seeds = self._seeds(1, position, count=4)
        record = self.records[self._permutation(epoch)[index]]
        record = {**record, "position": position, "seed": item_seed}
        with seeded_generators(*generator_seeds):
            return self.mapper(record)

    def _permutation(self, epoch):
        """(N,) order of the records in one epoch."""
        if epoch != self._epoch:
            (epoch_seed,) = self._seeds(0, epoch, count=1)
            order = np.random.RandomState(epoch_seed).permutation(len(self.records))
            self._epoch, self._order = epoch, order
        return self._order

    def _seeds(self, purpose, index, count):
        """``count`` independent 32-bit ints for one purpose and index."""
        return np.random.SeedSequence([self.seed, purpose, index]).generate_state(count).tolist()


class PositionSampler(Sampler):
    """Positions ``start + rank, start + rank + world_size, ...`` of the training stream."""

    def __init__(self, start):
        """
        Args:
            start (int): first position of the whole job, over all processes.
        """
        self.start = start
        self.rank, self.world_size = comm.get_rank(), comm.get_world_size()

    def __iter__(self):
        return itertools.count(self.start + self.rank, self.world_size)


@contextlib.contextmanager
def seeded_generators(random_seed, numpy_seed, torch_seed):
    """Seed the global CPU generators inside the block and put their states back after it."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(random_seed)
    np.random.seed(numpy_seed)
    torch.default_generator.manual_seed(torch_seed)  # torch.manual_seed would reseed CUDA too
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])

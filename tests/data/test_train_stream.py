"""The training stream: what each position depends on."""

import random
from itertools import islice

import numpy as np
import pytest
import torch

from san.data.train_stream import PositionSampler, TrainStream, seeded_generators

RECORDS = [{"name": letter} for letter in "abcdefg"]


def draw(record):
    """A mapper that shows its record and its random numbers."""
    numbers = random.random(), np.random.rand(), torch.rand(()).item()
    return record["name"], record["seed"], numbers


def test_an_item_depends_on_seed_and_position_alone():
    forward = [TrainStream(RECORDS, draw, seed=5)[position] for position in range(30)]
    stream = TrainStream(RECORDS, draw, seed=5)
    assert [stream[position] for position in reversed(range(30))] == forward[::-1]
    assert len({item[1] for item in forward}) == 30  # seeds
    assert len({item[2] for item in forward}) == 30  # random numbers
    assert TrainStream(RECORDS, draw, seed=6)[0][1:] != forward[0][1:]


def test_order_is_pinned():
    """A run resumed with a later version of any library must see the same order."""
    stream = TrainStream(RECORDS, draw, seed=0)
    assert "".join(stream[position][0] for position in range(14)) == "dfagbcecegdfba"
    assert stream[10**9][1] == 351659240


def test_generators_are_put_back_even_after_an_error():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(()).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    with pytest.raises(KeyError), seeded_generators(7, 8, 9):
        random.random(), np.random.rand(), torch.rand(())
        raise KeyError
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == expected


def test_positions_start_anywhere():
    assert list(islice(PositionSampler(6), 4)) == [6, 7, 8, 9]

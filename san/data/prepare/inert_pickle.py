"""Read strings out of a pickle without executing anything that it names.

A pickle is a program: it may call whatever can be imported. Here every name in it stands for
`Inert`, which only keeps what it is given, so foreign objects (the NumPy arrays of ADE20K's
index) are read over, and nothing is imported or called.
"""

import io
import pickle
import re

import numpy as np


class Inert:
    """Stands for any foreign object: keeps the arguments and the state that it is given."""

    def __new__(cls, *args, **_):
        instance = super().__new__(cls)
        instance.args, instance.state = args, None
        return instance

    def __init__(self, *args, **kwargs):
        """Nothing: see ``__new__``, the only one of the two that pickles of protocol 2 call."""

    def __setstate__(self, state):
        self.state = state

    def __setitem__(self, key, value):
        """Drop what a foreign dictionary is filled with."""

    def append(self, item):
        """Drop what a foreign list is filled with."""

    def extend(self, items):
        """Drop what a foreign list is filled with."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        return Inert


def load_inert(data):
    """Unpickle bytes -> plain containers, strings and numbers; all else is `Inert`.

    Raises:
        ValueError: not a whole pickle.
    """
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except Exception as error:  # a damaged pickle raises nearly anything
        raise ValueError(f"not a whole pickle ({error or type(error).__name__})") from error


def strings(value):
    """List of strings, or NumPy array of strings as `load_inert` returns it -> list[str].

    Raises:
        ValueError: something else.
    """
    if isinstance(value, Inert):
        value = _array_items(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return list(value)
    raise ValueError("not a list of strings")


def _array_items(array):
    """Items of an array from its parts; None where they are others than NumPy writes."""
    if isinstance(array.state, tuple) and len(array.state) == 5:
        _, _, dtype, _, data = array.state  # version, shape, dtype, order, data
    elif len(array.args) == 4:  # protocol 5
        data, dtype, _, _ = array.args  # data, dtype, shape, order
    else:
        return None
    if isinstance(data, Inert):  # protocols 0 to 2 encode bytes as "text".encode("latin1")
        data = data.args[0].encode("latin1")
    if isinstance(data, bytes | bytearray):
        name = str(dtype.args[0]) if isinstance(dtype, Inert) and dtype.args else ""
        return np.frombuffer(data, f"<{name}").tolist() if re.fullmatch(r"U\d+", name) else None
    return data

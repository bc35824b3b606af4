"""Times of one run and of its stages, on the CPU and on a GPU."""

import contextlib
import time

import torch


class Clock:
    """Measures one run, from its making to :meth:`stop`.

    On a GPU a stage is measured between two CUDA events, so that the queue of the GPU never waits
    for the clock; a ``host`` stage, and the whole, from synchronized begin to synchronized end.

    Args:
        device (torch.device)
    """

    def __init__(self, device):
        self.on_gpu = device.type == "cuda"
        self.device = device
        self._spans = []  # (name, begin, end)
        self._synchronize()
        self._begin, self._begin_cpu = time.perf_counter(), time.process_time()

    @contextlib.contextmanager
    def stage(self, name, host=False):
        """The time of the block counts for ``name``, added to what it has already."""
        events = self.on_gpu and not host
        if host:
            self._synchronize()
        begin = self._event() if events else time.perf_counter()
        yield
        if host:
            self._synchronize()
        self._spans.append((name, begin, self._event() if events else time.perf_counter()))

    def stop(self):
        """End of the run.

        Returns:
            dict: stage -> seconds; "total" is all of the run, "CPU time" what all threads of the
            process spent in it.
        """
        self._synchronize()
        total, cpu = time.perf_counter() - self._begin, time.process_time() - self._begin_cpu
        seconds = {}
        for name, begin, end in self._spans:
            on_host = isinstance(begin, float)
            span = end - begin if on_host else begin.elapsed_time(end) / 1000
            seconds[name] = seconds.get(name, 0.0) + span
        return {**seconds, "total": total, "CPU time": cpu}

    def _synchronize(self):
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def _event(self):
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

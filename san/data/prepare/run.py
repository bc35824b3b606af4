"""Make many samples on all cores; a bad file is named, and the rest goes on."""

import signal
from concurrent.futures import ProcessPoolExecutor, as_completed

import cv2
from tqdm import tqdm

from san.errors import UserError

CHUNK = 16  # samples that a process takes at a time


def run_all(samples, num_workers, title):
    """Run samples in any order, with a progress bar.

    Run it again after an interruption: what is done is kept.

    Args:
        samples (list[Sample])
        num_workers (int): processes; 1: this one.
        title (str): of the progress bar.
    Returns:
        results (list[str]): MADE, KEPT or LEFT_OUT of each good sample.
        errors (list[str]): message of each bad one, sorted.
    """
    chunks = [samples[start : start + CHUNK] for start in range(0, len(samples), CHUNK)]
    results, errors = [], []
    with tqdm(total=len(samples), unit="image", desc=title) as progress:
        for chunk_results, chunk_errors in _map(chunks, min(num_workers, len(chunks))):
            results += chunk_results
            errors += chunk_errors
            progress.update(len(chunk_results) + len(chunk_errors))
    return results, sorted(errors)


def _map(chunks, num_workers):
    """Results of `_run_chunk` in any order, computed in processes if there are several."""
    if num_workers <= 1:
        yield from map(_run_chunk, chunks)
        return
    with ProcessPoolExecutor(num_workers, initializer=_start_worker) as executor:
        futures = [executor.submit(_run_chunk, chunk) for chunk in chunks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            executor.shutdown(cancel_futures=True)  # on Ctrl-C: finish the chunks begun, no more


def _start_worker():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which winds up
    cv2.setNumThreads(0)  # one core for each process


def _run_chunk(samples):
    results, errors = [], []
    for sample in samples:
        try:
            results.append(sample.run())
        except UserError as error:
            errors.append(str(error))
    return results, errors

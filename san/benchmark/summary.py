"""Repeated runs in few figures: median and quartiles, rates, ratios to a baseline."""

import statistics


def spread(values):
    """median, quartiles ("low", "high"), "min" and "max" of some numbers -> dict of float."""
    values = sorted(values)
    if len(values) < 2:
        low = high = values[0]
    else:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return {
        "median": statistics.median(values),
        "low": low,
        "high": high,
        "min": values[0],
        "max": values[-1],
    }


def stage_times(samples):
    """[{stage: seconds}, one per run] -> {stage: spread}, "rest" what no stage of it has.

    A stage that a run does not have took no time in it.
    """
    names = list(dict.fromkeys(name for sample in samples for name in sample))
    times = {name: [sample.get(name, 0.0) for sample in samples] for name in names}
    stages = [name for name in names if name not in ("total", "CPU time")]
    if stages:
        times["rest"] = [
            sample["total"] - sum(sample.get(name, 0.0) for name in stages) for sample in samples
        ]
    order = [*stages, "rest", "total", "CPU time"]
    return {name: spread(times[name]) for name in order if name in times}


def summarize(setting, rounds):
    """Everything about one setting.

    Args:
        setting (Setting)
        rounds (list[dict]): of each round "ours", as `run_worker` gives it, and "baseline", as
            `run_baseline`, or None.

    Returns:
        dict of JSON types: "setting"; "stages" and "files" {stage: spread, in seconds}; "counts"
        (see `Counters.results`) or None; "matmul_rate" (FLOP per second, median); "memory" (MiB,
        the largest of the rounds); "pairs" (see `compare`) or None; "environment"; and the
        "rounds" themselves.
    """
    ours = [one["ours"] for one in rounds]
    rates = [rate for one in ours for rate in one["matmul_rate"]]
    return {
        "setting": setting.as_dict(),
        "stages": stage_times([sample for one in ours for sample in one["samples"]]),
        "files": stage_times([sample for one in ours for sample in one["files"]])
        if ours[0]["files"]
        else {},
        "counts": ours[0]["counts"],
        "matmul_rate": statistics.median(rates),
        "memory": largest([one["memory"] for one in ours]),
        "pairs": compare(rounds) if rounds[0]["baseline"] else None,
        "environment": ours[0]["environment"],
        "rounds": [{key: _without_environment(one[key]) for key in one} for one in rounds],
    }


def compare(rounds):
    """Baseline over ours, round by round: above 1, ours is better.

    Returns:
        dict: "time" {stage that both have: {"ratios": list, and their spread}}, "memory" the same
        of the peaks of the processes, or None.
    """
    medians = [
        {who: {k: v["median"] for k, v in stage_times(one[who]["samples"]).items()} for who in one}
        for one in rounds
    ]
    shared = [
        name
        for name in medians[0]["ours"]
        if name != "rest" and all(name in one["baseline"] and one["ours"][name] for one in medians)
    ]
    times = {
        name: _ratios([one["baseline"][name] / one["ours"][name] for one in medians])
        for name in shared
    }
    peaks = [
        (one["baseline"]["memory"]["process"], one["ours"]["memory"]["process"]) for one in rounds
    ]
    known = all(value is not None for pair in peaks for value in pair)
    return {
        "time": times,
        "memory": _ratios([theirs / ours for theirs, ours in peaks]) if known else None,
    }


def _ratios(values):
    return {"ratios": values, **spread(values)}


def largest(memories):
    """{kind: largest} of several {kind: MiB or None}."""
    return {
        kind: max((one[kind] for one in memories if one[kind] is not None), default=None)
        for kind in memories[0]
    }


def _without_environment(result):
    return result and {key: value for key, value in result.items() if key != "environment"}

"""Results as Markdown: one line for each setting, and the stages of each."""

from .settings import Setting

_COLUMNS = ("image_size", "source_size", "batch_size", "num_words", "dtype", "device", "compile")
_COLUMNS += ("allocator",)
_LOADED = 0.5  # processes waiting per core, beyond which times are not to be trusted


def report(results, header):
    """Markdown of some results, see `san.benchmark.summary.summarize`.

    Args:
        header (dict): "command", "date", "config", "weights".
    """
    environment = results[0]["environment"]
    parts = [_origin(header, environment), _overview(results)]
    if any(result["pairs"] for result in results):
        parts.append(_pairs(results))
    parts += [_stages(result) for result in results]
    return "\n".join(parts)


def overview_line(result):
    """One line about a setting, for the terminal."""
    total = result["stages"]["total"]
    line = f"{Setting.from_dict(result['setting']).title()}: {_ms_range(total)}"
    peak = result["memory"].get("cpu") or result["memory"].get("process")
    if peak:
        line += f", peak {peak:.0f} MiB"
    if result["pairs"]:
        ratio = result["pairs"]["time"]["total"]
        line += f"; baseline / ours {_ratio_range(ratio)}"
    return line


def load_warning(results):
    """A sentence about other work on the machine, or None."""
    for result in results:
        load, cores = result["environment"]["load"], result["environment"]["machine"]["cores"]
        # the measurement itself keeps one core busy, or all of them
        if load and load[0] > (1 + _LOADED) * cores:
            return (
                f"the machine was busy with other work (load {load[0]:.1f} on {cores} cores): "
                "do not trust the times, look at CPU time and counts"
            )
    return None


def _origin(header, environment):
    machine, code = environment["machine"], environment["code"]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads"
    lines = [
        f"- Command: `{header['command']}`",
        f"- Date: {header['date']}",
        f"- Model: {header['config']}, weights {header['weights'] or 'random'}",
        f"- Machine: {machine['gpu'] + ', ' if machine['gpu'] else ''}{where}, {machine['system']}",
        f"- Code: {code['san']}, revision {(code['revision'] or 'unknown')[:12]}"
        f"{' with changes' if code['dirty'] else ''}; "
        f"torch {environment['libraries']['torch']}",
    ]
    return "\n".join(lines) + "\n"


def _overview(results):
    """Table of all settings, without the columns that are the same everywhere."""
    texts = [Setting.from_dict(result["setting"]).texts() for result in results]
    varying = [key for key in _COLUMNS if len({text[key] for text in texts}) > 1]
    rows = [
        (
            text["measure"],
            *[text[key] for key in varying],
            *_overview_cells(result),
        )
        for text, result in zip(texts, results, strict=True)
    ]
    same = [f"{key.replace('_', ' ')} {texts[0][key]}" for key in _COLUMNS if key not in varying]
    names = [key.replace("_", " ") for key in varying]
    heads = ("ms", "quartiles", "CPU ms", "GFLOP", "of matmul rate", "built MiB", "peak MiB")
    table = _table(("measure", *names, *heads), rows)
    return f"{table}\nThe same for all: {', '.join(same)}.\n" if same else table


def _overview_cells(result):
    total, memory = result["stages"]["total"], result["memory"]
    cpu = result["stages"].get("CPU time")
    flops = result["counts"] and result["counts"]["total"]["flops"]
    peak = memory.get("gpu") or memory.get("cpu") or memory.get("process")
    return (
        _ms(total["median"]),
        f"{_ms(total['low'])} to {_ms(total['high'])}",
        _ms(cpu["median"]) if cpu else "-",
        f"{flops / 1e9:.2f}" if flops else "-",
        _share(flops, total["median"], result["matmul_rate"]),
        f"{memory['built']:.0f}" if memory.get("built") else "-",
        f"{peak:.0f}" if peak else "-",
    )


def _stages(result):
    """Table of one setting's stages."""
    setting = Setting.from_dict(result["setting"])
    stages, counts = result["stages"], result["counts"] or {}
    total = stages["total"]["median"]
    rows = []
    for name, times in stages.items():
        flops = counts.get(name, {}).get("flops")
        calls = counts.get(name, {}).get("calls")
        rows.append(
            (
                name,
                _ms(times["median"]),
                f"{_ms(times['low'])} to {_ms(times['high'])}",
                f"{100 * times['median'] / total:.0f} %",
                f"{flops / 1e9:.3f}" if flops else "-",
                _share(flops, times["median"], result["matmul_rate"]),
                str(calls) if calls is not None else "-",
            )
        )
    rows += [
        (f"{name} (outside)", _ms(times["median"]), f"{_ms(times['low'])} to {_ms(times['high'])}")
        + ("-",) * 4
        for name, times in result["files"].items()
        if name not in ("rest", "total", "CPU time")
    ]
    heads = ("stage", "ms", "quartiles", "share", "GFLOP", "of matmul rate", "operator calls")
    note = f"Matmul rate {result['matmul_rate'] / 1e9:.0f} GFLOP/s"
    if counts:
        note += (
            f"; tensors of at most {counts['total']['peak_bytes'] / 2**20:.1f} MiB alive at once"
        )
    return f"### {setting.title()}\n\n{_table(heads, rows)}\n{note}.\n"


def _pairs(results):
    """Table of ratios to the baseline: above 1, ours is faster or smaller."""
    rows = []
    for result in results:
        pairs = result["pairs"]
        title = Setting.from_dict(result["setting"]).title()
        kinds = {**pairs["time"], **({"peak memory": pairs["memory"]} if pairs["memory"] else {})}
        for name, ratio in kinds.items():
            each = ", ".join(f"{value:.2f}" for value in ratio["ratios"])
            span = f"{ratio['min']:.2f} to {ratio['max']:.2f}"
            rows.append((title, name, f"{ratio['median']:.2f}", span, each))
    return _table(("baseline / ours", "of", "median", "range", "pair by pair"), rows)


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _share(flops, seconds, rate):
    return f"{100 * flops / seconds / rate:.0f} %" if flops and seconds > 0 else "-"


def _ms(seconds):
    return f"{1000 * seconds:,.1f}" if seconds < 0.1 else f"{1000 * seconds:,.0f}"


def _ms_range(times):
    return f"{_ms(times['median'])} ms ({_ms(times['low'])} to {_ms(times['high'])})"


def _ratio_range(ratio):
    return f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"

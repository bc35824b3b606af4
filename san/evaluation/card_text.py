"""The card of an evaluation in Markdown."""

import math

from .report import METRICS, markdown_table, overall_table


def card_text(card):
    """A card (dict, see `san.evaluation.card`) in Markdown."""
    parts = ["# Evaluation card\n"]
    for kind in METRICS:
        results = {name: r for name, r in card["results"].items() if r["kind"] == kind}
        if results:
            metrics = {name: _with_nan(result["metrics"]) for name, result in results.items()}
            parts.append(overall_table(metrics, kind))
    parts.append(_conditions(card["results"]))
    parts.append("".join(f"- {name}: {text}\n" for name, text in _facts(card)))
    return "\n".join(parts)


def _with_nan(metrics):
    return {key: math.nan if value is None else value for key, value in metrics.items()}


def _conditions(results):
    """Table of what each data set was evaluated on and with."""
    header = ("data set", "images", "s/image", "protocol", "classes", "vocabulary")
    rows = [
        (
            name,
            result["images"],
            f"{result['seconds_per_image']:.3f}",
            (result["protocol"] or {}).get("name", "-"),
            (result["vocabulary"] or {}).get("classes", "-"),
            (result["vocabulary"] or {}).get("sha256", "-")[:12],
        )
        for name, result in results.items()
    ]
    return markdown_table(header, rows)


def _facts(card):
    """(name, text) of everything that holds for all data sets."""
    weights, code, host, cost = (card[key] for key in ("weights", "code", "machine", "cost"))
    digests = {"tensors": weights["sha256"], "file": weights["file_sha256"]}
    digests = ", ".join(f"{name} {digest}" for name, digest in digests.items() if digest)
    changed = ", with changes that are not committed" if code["dirty"] else ""
    memory = cost["peak_memory_mb"]
    used = [f"{value:.0f} MB ({kind.upper()})" for kind, value in memory.items() if value]
    yield "model", card["model"] or "none"
    yield "weights", f"{weights['source'] or 'none'} ({digests})"
    yield "config", card["config"]["sha256"] if card["config"] else "none"
    yield "code", f"san {code['san']}, revision {code['revision'] or 'unknown'}{changed}"
    yield "versions", ", ".join(f"{k} {v}" for k, v in card["versions"].items() if v)
    yield "machine", f"{host['cpu']}, {host['cores']} cores; GPU: {host['gpu'] or 'none'}"
    yield "processes", f"{host['processes']}, of {host['threads']} threads"
    yield "time", f"{cost['seconds']:.1f} s, {cost['seconds_per_image']:.3f} s per image"
    yield "peak memory", ", ".join(used) or "unknown"
    yield "command", f"`{card['command']}`"
    yield "created", card["created"]

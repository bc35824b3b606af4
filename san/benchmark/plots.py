"""Cost over the size of the image and over that of the vocabulary, as pictures."""

from dataclasses import replace

from san.files import atomic_path

from .settings import Setting

# File: field that varies, its number for the axis, name of the axis
_PLOTS = {
    "cost_over_image_size.png": (
        "image_size",
        lambda size: (size[0] * size[1]) ** 0.5,
        "image side",
    ),
    "cost_over_vocabulary.png": ("num_words", float, "words"),
}


def write_plots(results, folder):
    """Draw what the results have more than one size of.

    Args:
        results (list[dict]): see `san.benchmark.summary.summarize`.
        folder (Path)

    Returns:
        list[Path]: of the files, PNG.
    """
    paths = []
    for name, (field, number, label) in _PLOTS.items():
        series = _series(results, field, number)
        if series:
            paths.append(folder / name)
            _draw(series, label, paths[-1])
    return paths


def _series(results, field, number):
    """{title of what stays the same: [(x, stages), ...] of two sizes and more}."""
    series = {}
    for result in results:
        setting = Setting.from_dict(result["setting"])
        if getattr(setting, field) is not None:
            rest = {field: None, "source_size": None} if field == "image_size" else {field: None}
            points = series.setdefault(replace(setting, **rest), [])
            points.append((number(getattr(setting, field)), result["stages"]))
    return {
        setting: sorted(points, key=lambda point: point[0])
        for setting, points in series.items()
        if len({x for x, _ in points}) > 1
    }


def _draw(series, label, path):
    """Times as lines, quartiles as bands; the stages too where there is one series alone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for setting, points in series.items():
        names = list(points[0][1]) if len(series) == 1 else ["total"]
        for name in names:
            if name == "CPU time":
                continue
            drawn = [(x, stages[name]) for x, stages in points if name in stages]
            xs = [x for x, _ in drawn]
            title = setting.title() if name == "total" else name
            style = (
                {"linewidth": 2.5, "color": "black"} if len(series) == 1 and name == "total" else {}
            )
            (line,) = axes.plot(
                xs, [1000 * s["median"] for _, s in drawn], marker="o", label=title, **style
            )
            low, high = ([1000 * s[key] for _, s in drawn] for key in ("low", "high"))
            axes.fill_between(xs, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set_xscale("log")
    axes.set_xticks(*2 * [sorted({x for points in series.values() for x, _ in points})])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"{label}{' (pixels)' if 'image' in label else ''}")
    axes.set_ylabel("milliseconds")
    axes.legend(fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)

"""``san compare``: do evaluations differ by more than noise?

san compare output/a/inference/card.json output/b/inference/card.json

The first card is compared with each of the others. Exit status: 0 no figure differs by more than
noise; 1 one does; 2 a mistake.
"""

from san.errors import UserError, exit_on_user_error

FORMAT = "san comparison 1"


def add_arguments(parser):
    """Add the command's options to an argparse parser."""
    parser.add_argument(
        "cards", nargs="+", metavar="CARD",
        help="card.json of an evaluation, or its folder (OUTPUT_DIR); the first is the baseline",
    )  # fmt: skip
    parser.add_argument(
        "--tolerance", type=float, default=0.1, metavar="POINTS",
        help="what counts as noise in figures without a confidence interval (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--markdown", metavar="FILE", help="write what is printed to a file, too")
    parser.add_argument("--json", metavar="FILE", help="write the comparison as JSON")


@exit_on_user_error
def main(args):
    """Compare -> exit status."""
    from san.evaluation.card import read_card
    from san.files import write_json, write_text

    if len(args.cards) < 2:
        raise UserError("one card alone cannot be compared: name two, or more")
    baseline, *others = [read_card(path) for path in args.cards]
    comparisons = [
        compare_cards(baseline, card, (args.cards[0], path), args.tolerance)
        for path, card in zip(args.cards[1:], others, strict=True)
    ]
    text = "\n".join(comparison_text(comparison) for comparison in comparisons)
    print(text, end="")
    if args.markdown:
        write_text(args.markdown, text)
    if args.json:
        write_json(args.json, {"format": FORMAT, "comparisons": comparisons})
    return 1 if any(comparison["differs"] for comparison in comparisons) else 0


def compare_cards(a, b, names, tolerance):
    """Everything about two cards -> dict of JSON types.

    Returns:
        dict: "a" and "b" (``names``), "rows" (list of dict, see `san.evaluation.comparison.Row`),
        "warnings" and "notes" (list[str]), "differs" (bool: a row does).
    """
    from san.evaluation.comparison import compare, find_notes, find_warnings

    rows = [row._asdict() for row in compare(a, b, tolerance)]
    return {
        "a": str(names[0]),
        "b": str(names[1]),
        "rows": rows,
        "warnings": find_warnings(a, b),
        "notes": find_notes(a, b),
        "differs": any(row["differs"] for row in rows),
    }


def comparison_text(comparison):
    """What `compare_cards` gives, in Markdown."""
    from san.evaluation.report import markdown_table

    header = ("data set", "metric", "A", "B", "B - A", "noise", "")
    rows = [
        (
            row["dataset"],
            row["metric"],
            *[float("nan") if row[key] is None else row[key] for key in ("a", "b", "difference")],
            _noise(row),
            "differs" if row["differs"] else "same",
        )
        for row in comparison["rows"]
    ]
    parts = [f"A: {comparison['a']}\nB: {comparison['b']}\n", markdown_table(header, rows)]
    for title, key in (("Not the same conditions", "warnings"), ("Also different", "notes")):
        if comparison[key]:
            parts.append("\n".join([f"{title}:\n", *[f"- {x}" for x in comparison[key]]]) + "\n")
    differing = sum(row["differs"] for row in comparison["rows"])
    parts.append(f"{differing} of {len(rows)} figures differ by more than noise.\n")
    return "\n".join(parts)


def _noise(row):
    if row["noise"] is None:
        return "-"
    return f"{row['low']:+.2f} to {row['high']:+.2f} ({row['noise']})"

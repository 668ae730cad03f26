"""What every experiment writes: a Markdown table under its whole setting, and the same as JSON."""

import json


def markdown(title, setting, header, rows):
    """A Markdown table.

    Parameters
    ----------
    title : str
    setting : dict
        Everything that the numbers depend on, printed above them.
    header : list of str
    rows : list of list of str
    """
    cells = [header, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]

    def line(row):
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    head = [f"# {title}", "", *(f"- {name}: {value}" for name, value in setting.items()), ""]
    return "\n".join([*head, line(header), rule, *map(line, rows)]) + "\n"


def write_text(path, text):
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path, result):
    """Write a result as JSON, whole or not at all."""
    write_text(path, json.dumps(result, indent=1, ensure_ascii=False) + "\n")

"""Tables in Markdown."""


def markdown(setting, header, rows):
    """A table under its setting.

    Parameters
    ----------
    setting : dict
    header : list of str
    rows : list of list of str

    Returns
    -------
    str
    """
    cells = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([*(f"- {key}: {value}" for key, value in setting.items()), "", lines[0], rule, *lines[1:]]) + "\n"

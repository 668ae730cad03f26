"""Races, in which contestants run in turn in one process, so that a noisy minute affects all of them alike."""

import statistics
import time


def race(contestants, rounds=5):
    """Return the seconds of each contestant in each round.

    Parameters
    ----------
    contestants : dict of str to callable
        Functions without arguments, by name.
    rounds : int
        How often each of them runs, in turn, after one warm-up run that does not count.

    Returns
    -------
    dict of str to list of float
    """
    seconds = {name: [] for name in contestants}
    for lap in range(rounds + 1):
        for name, run in contestants.items():
            began = time.perf_counter()
            run()
            if lap:
                seconds[name].append(time.perf_counter() - began)
    return seconds


HEADER = ["contestant", "seconds", "minimum to maximum", "ratio", "minimum to maximum"]


def timings(seconds, reference):
    """Return the rows of a table under ``HEADER``: median seconds, and the median ratio to the reference.

    The ratios are those of the same round, in which both ran within moments of each other.

    Parameters
    ----------
    seconds : dict of str to list of float
        What ``race`` returns.
    reference : str
        The contestant whose ratio is 1.
    """
    rows = []
    for name, times in seconds.items():
        ratios = [own / other for own, other in zip(times, seconds[reference], strict=True)]
        rows.append([name, *_spread(times, "{:.3f}"), *_spread(ratios, "{:.2f}")])
    return rows


def _spread(values, form):
    """Return the median and the range from the least to the greatest value, as text."""
    return form.format(statistics.median(values)), f"{form.format(min(values))} to {form.format(max(values))}"

"""Races: contestants run in turn in one process, so that a noisy minute hits all alike; medians are compared."""

import statistics
import time


def race(contestants, rounds=5):
    """Median seconds of each contestant.

    Parameters
    ----------
    contestants : dict of str to callable
    rounds : int
        Each runs so often, in turn, after one run that does not count.
    """
    seconds = {name: [] for name in contestants}
    for lap in range(rounds + 1):
        for name, run in contestants.items():
            began = time.perf_counter()
            run()
            if lap:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in seconds.items()}


def table(seconds, reference):
    """Lines of a Markdown table: median seconds and how many times the reference's."""
    lines = ["| contestant | seconds | ratio |", "| --- | ---: | ---: |"]
    for name, s in seconds.items():
        lines.append(f"| {name} | {s:.3f} | {s / seconds[reference]:.2f} |")
    return "\n".join(lines)

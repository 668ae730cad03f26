"""Hand out and grade the homework.

    python lectures/homework.py new hw1 DIR                             # the assignment, for a student
    python lectures/homework.py grade hw1 DIR [--results results.json]  # the points of a submission
    python lectures/homework.py package hw1 [--out hw1.zip]             # the autograder for Gradescope

``homework/README.md`` explains how it works; the code is in ``homework/grading``.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "homework"))

from grading.command import main

if __name__ == "__main__":
    sys.exit(main())

"""The machinery behind ``lectures/homework.py``.

Read in this order:

1. ``manifest.py``: what a homework is: files, functions to write, tests, points
2. ``template.py``: the library's own file, without the answers
3. ``hand_out.py``: ``new``, the folder that a student gets
4. ``grade.py``: ``grade``, one process for each test, and no points until they are proved
5. ``processes.py``, ``child.py``: the parent's and the child's side of one test
6. ``inside``: what runs in the child, around the student's code
7. ``results.py``: the marks in words, and for Gradescope
8. ``package.py``: ``package``, the autograder as a zip
9. ``checking.py``: helpers that all tests share; students receive it too
"""

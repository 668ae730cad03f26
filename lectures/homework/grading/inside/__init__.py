"""What runs in the process of one test, around the student's code.

``child.py`` gets these files as text and reads them in this order:

1. ``words.py``: errors in words for the student
2. ``library.py``: the library without the answers, and the files that a submission may not open
3. ``students.py``: the student's files as modules, in the place of the library's
4. ``frozen.py``: what must not change while the student's code runs, and how an example may end
5. ``one_test.py``: the order of events
"""

"""The command line: ``ksef-async``, or ``python -m ksef_async``.

Each command is a function in the file of its name. Only `send`, `status` and `upo`, which have a journal, need the
extra ``cli``.
"""

"""How long and how large things may be: what Optuna's columns hold."""

MAX_NAME_LENGTH = 512
"""Of studies, parameters and attributes, in characters."""

MAX_STEP = 2**31 - 1
"""Of a report."""

MAX_SOURCE_LENGTH = 256 * 1024
"""Of Python that a user sends, in characters."""

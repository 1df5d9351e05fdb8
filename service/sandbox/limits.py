"""What one call of a user file may use."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """Bounds of one call; a file that passes one fails, and nothing else does.

    Attributes:
        seconds: Wall clock, without the time that the caller's own `suggest` takes.
        total_seconds: Wall clock with that time. A `suggest` that runs is not interrupted.
        cpu_seconds: Processor time of all threads together.
        memory_bytes: Address space. NumPy and Optuna alone need some 200 MiB.
        threads: Threads of a user file beside the first, where the kernel can count them.
        output_bytes: What a file may print before it is ended.
        messages: How often a search space may suggest.
        message_bytes: One suggestion, or the whole answer, as JSON.
        total_message_bytes: All suggestions and the answer together.
        choices: How many a categorical parameter may have.
        text_bytes: The file itself, as UTF-8.
    """

    seconds: float = 5.0
    total_seconds: float = 30.0
    cpu_seconds: int = 5
    memory_bytes: int = 512 * 1024**2
    threads: int = 16
    output_bytes: int = 64 * 1024
    messages: int = 1000
    message_bytes: int = 256 * 1024
    total_message_bytes: int = 1024 * 1024
    choices: int = 1000
    text_bytes: int = 256 * 1024


SESSION_LIMITS = SandboxLimits(
    seconds=5.0,
    total_seconds=math.inf,
    cpu_seconds=24 * 3600,
    memory_bytes=1024**3,
    message_bytes=1024 * 1024,
)
"""Bounds of a session: for each question that it is asked, but memory and processor time."""

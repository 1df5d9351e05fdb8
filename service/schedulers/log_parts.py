"""Sending a log in parts, none of which ends within a character."""


def cut_between_characters(data: bytes) -> bytes:
    """Leaves a character of UTF-8 that has not arrived completely for the next part."""
    for length in range(1, min(4, len(data)) + 1):
        byte = data[-length]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data if length >= needed else data[:-length]
        if byte < 0x80:
            return data
    return data

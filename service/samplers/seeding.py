"""Seeds for single calls, and random states that take one cheaply."""

from hashlib import blake2b

from numpy.random import RandomState
from optuna.samplers import BaseSampler

# Private to Optuna, used to put a kept RandomState into a new sampler: making one costs more
# than 100 µs, seeding it 2 µs, and TPE holds two. A test compares with seeding by constructor.
from optuna.samplers._lazy_random_state import LazyRandomState


def derive_seed(seed: int, number: int, purpose: str) -> int:
    """Return the 32-bit seed of one call; part of what makes a stored study repeatable."""
    digest = blake2b(f"{seed}|{number}|{purpose}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


class RandomStates:
    """Random states that samplers borrow one after another; for one thread at a time."""

    def __init__(self) -> None:
        self._states: list[RandomState] = []

    def seed(self, sampler: BaseSampler, seed: int) -> None:
        """Make `sampler` draw as if its constructor, and those inside it, had been given `seed`."""
        for index, holder in enumerate(_list_holders(sampler)):
            if index == len(self._states):
                self._states.append(holder.rng)
            holder._rng = self._states[index]
            holder._rng.seed(seed)


def _list_holders(sampler: BaseSampler) -> list[LazyRandomState]:
    holders = []
    for value in vars(sampler).values():
        if isinstance(value, LazyRandomState):
            holders.append(value)
        elif isinstance(value, BaseSampler):
            holders.extend(_list_holders(value))
    return holders

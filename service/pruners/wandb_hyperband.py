"""Early termination as sweeps of Weights & Biases do it."""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from itertools import accumulate, chain, compress, count, repeat
from operator import is_not, mul, truediv

from optuna import Study
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from service.domain.limits import MAX_STEP

_MAX_BANDS = 100  # W&B stops there with min_iter, however near eta is to 1.
_MAX_ROWS = MAX_STEP + 1


class WandbHyperbandPruner(BasePruner):
    """Prunes the trials that W&B's `early_terminate: {type: hyperband}` would stop.

    A trial is judged at *bands*, which count its rows: reports of a finite value, in the order of
    their steps, whatever the steps are. Bands are `min_iter * eta**k` for k from 0, or
    `max_iter / eta**k` for k from 1 to `s` while that is at least 1, rounded down. What counts is
    the last band that a trial has come to. The values that all trials had at that row, those that
    have ended included, are ranked, the best first; the one after the best `1 / eta` of them is the
    threshold. A trial that is worse is pruned, judged by its own value at that row, or by its best
    so far unless `strict`. One that equals the threshold stays, so a trial alone always does.

    W&B judges all running runs each time it looks at the sweep; this judges the trial that has
    just reported. The decision is W&B's, had it looked at that moment.

    Decisions depend on nothing but the study's trials. What is kept between them only spares
    reading again the trials that are the same objects as before, so the storage has to replace a
    trial that changes, as Optuna's own do. Not thread-safe.

    The rule is that of the `sweeps` package 0.3.0, module `hyperband_stopping`.
    """

    def __init__(
        self,
        *,
        min_iter: int | None = None,
        max_iter: int | None = None,
        s: int | None = None,
        eta: float = 3,
        strict: bool = True,
    ) -> None:
        """Either `min_iter`, or `max_iter` and `s`.

        Raises:
            ValueError: Neither or both, `eta` is not above 1, or no band reaches 1.
        """
        if eta <= 1:
            raise ValueError(f"eta must be greater than 1, not {eta:g}.")
        if (min_iter is None) == (max_iter is None) or (max_iter is None) != (s is None):
            raise ValueError("Give min_iter, or max_iter together with s; not both.")
        self._bands = _compute_bands(min_iter, max_iter, s, eta=eta)
        if not self._bands:
            raise ValueError(
                "max_iter / eta is below 1, so no trial would ever be judged; "
                "raise max_iter or lower eta."
            )
        self._share = 1 / eta
        self._strict = strict
        self._standings = _Standings(self._bands)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        sign = 1.0 if study.direction is StudyDirection.MINIMIZE else -1.0
        losses = _list_losses(trial, sign)
        passed = bisect_right(self._bands, len(losses))
        if not passed:
            return False
        self._standings.update(study.get_trials(deepcopy=False), sign)
        loss = losses[self._bands[passed - 1] - 1] if self._strict else min(losses)
        return loss > self._standings.find_threshold(passed - 1, self._share)


class _Standings:
    """What the trials had at each band, the best first.

    Collecting and sorting that anew would make a report dearer with every trial of the study.
    """

    def __init__(self, bands: Sequence[int]) -> None:
        self._bands = bands
        self._trials: list[FrozenTrial] = []
        self._losses: list[Sequence[float]] = []  # At the bands, by trial.
        self._ranked: list[list[float]] = [[] for _ in bands]

    def update(self, trials: Sequence[FrozenTrial], sign: float) -> None:
        changed = list(compress(count(), map(is_not, trials, self._trials)))
        gone = range(len(trials), len(self._trials))
        new = range(len(self._trials), len(trials))
        self._losses += ((),) * len(new)
        for index in chain(changed, new):
            self._rank(index, self._pick(_list_losses(trials[index], sign)))
        for index in gone:
            self._rank(index, ())
        del self._losses[len(trials) :]
        self._trials = list(trials)

    def find_threshold(self, band: int, share: float) -> float:
        ranked = self._ranked[band]
        return ranked[int(share * len(ranked))]

    def _pick(self, losses: Sequence[float]) -> Sequence[float]:
        return tuple(losses[band - 1] for band in self._bands if band <= len(losses))

    def _rank(self, index: int, losses: Sequence[float]) -> None:
        before, self._losses[index] = self._losses[index], losses
        if before == losses:
            return
        for ranked, loss in zip(self._ranked, before, strict=False):
            del ranked[bisect_left(ranked, loss)]
        for ranked, loss in zip(self._ranked, losses, strict=False):
            insort(ranked, loss)


def _compute_bands(
    min_iter: int | None, max_iter: int | None, s: int | None, *, eta: float
) -> list[int]:
    """Steps from band to band as W&B does: a power would round differently."""
    if min_iter is not None:
        rows = accumulate(repeat(eta, _MAX_BANDS - 1), mul, initial=float(min_iter))
    else:
        rows = accumulate(repeat(eta, s or 0), truediv, initial=float(max_iter or 0))
        next(rows)
    return sorted({int(row) for row in rows if 1 <= row <= _MAX_ROWS})


def _list_losses(trial: FrozenTrial, sign: float) -> list[float]:
    values = trial.intermediate_values
    return [sign * values[step] for step in sorted(values) if math.isfinite(values[step])]

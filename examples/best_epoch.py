"""Keep the model of the best epoch, and end a training that gets no better."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from ptbert.training import TrainingLog

logger = logging.getLogger(__name__)


class TrainingEndedEarly(Exception):  # noqa: N818 - no error
    """Raised out of `fit`: the model has got no better for some epochs."""


class BestEpoch:
    """An `after_step` for `fit` that evaluates after every epoch, and saves the best model so far.

    What is best follows from the log's `metrics`, so that a run that goes on knows it.

    Args:
        steps_per_epoch: Optimizer steps between evaluations.
        metric: Name of what is evaluated, for the log; more is better.
        evaluate: Computes it.
        save: Saves the model; called after the first epoch, and after each that is better than all
            before.
        patience: Epochs in a row without a better one after which the training ends; 0 for no end.
    """

    def __init__(
        self,
        steps_per_epoch: int,
        metric: str,
        evaluate: Callable[[], float],
        save: Callable[[], None],
        patience: int = 0,
    ) -> None:
        self._steps_per_epoch = steps_per_epoch
        self._metric = metric
        self._evaluate = evaluate
        self._save = save
        self._patience = patience

    def __call__(self, log: TrainingLog) -> None:
        """Evaluate, if an epoch is complete.

        Raises:
            TrainingEndedEarly: There was no better epoch for too long.
        """
        if log.global_step % self._steps_per_epoch:
            return
        log.metrics.append((log.global_step, self._metric, self._evaluate()))
        values = [value for _, name, value in log.metrics if name == self._metric]
        best = best_of(values)
        logger.info("Epoch %d: %s = %s", len(values), self._metric, values[-1])
        if best == len(values) - 1:
            self._save()
        if self._patience and len(values) - 1 - best >= self._patience:
            raise TrainingEndedEarly


def best_of(values: list[float]) -> int:
    """The place of the first of the greatest values; nan is less than all."""
    known = [-math.inf if math.isnan(value) else value for value in values]
    return known.index(max(known))

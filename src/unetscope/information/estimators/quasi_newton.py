"""The minimum of a convex function by L-BFGS, in variables along which its curvature is about one; knows no data."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Point = NDArray[np.float64]
Objective = Callable[[Point], tuple[float, Point]]
"""Point -> value and gradient."""

Pairs = deque[tuple[Point, Point]]
"""The last steps, and how each changed the gradient."""

MEMORY = 12  # pairs
HALVINGS = 12  # of a step that does not descend
SUFFICIENT = 1e-4  # share of the decrease promised by the slope


def descend(objective: Objective, start: Point, tolerance: float, most: int = 200) -> Point:
    """Walk downhill until neither the last step nor the next gains more than a tolerance.

    Steps begin at length one, so the variables should be scaled such that the curvature at the start is about one
    (preconditioned); the first step is then about Newton's. One step at least is taken: where the function is much
    flatter than that, the slope alone promises too little.

    Args:
        objective: Point -> value and gradient; convex.
        start: Where to begin; any shape.
        tolerance: What may be left to gain, in units of the objective.
        most: Steps at most.

    Returns:
        The last point, whose value is never above the start's.

    Source:
        Nocedal & Wright 2006, Numerical optimization, algorithms 7.4 and 3.1.

    Example:
        >>> bowl = lambda x: (float(((x - 1) ** 2).sum()) / 2, x - 1)
        >>> descend(bowl, np.zeros(3), 1e-9).tolist()
        [1.0, 1.0, 1.0]
    """
    point, gained = start, np.inf
    value, gradient = objective(point)
    pairs: Pairs = deque(maxlen=MEMORY)
    for _ in range(most):
        direction = -_flatten(gradient, pairs)
        slope = float(np.vdot(gradient, direction))
        if max(gained, -slope / 2) <= tolerance:
            break
        found = _search(objective, point, direction, value, slope)
        if found is None:
            break
        step, reached, arrived = found
        if np.vdot(step, arrived - gradient) > 0:
            pairs.append((step, arrived - gradient))
        point, gained, value, gradient = point + step, value - reached, reached, arrived
    return point


def _search(
    objective: Objective, point: Point, direction: Point, value: float, slope: float
) -> tuple[Point, float, Point] | None:
    """The first of the steps 1, 1/2, 1/4 ... that descends enough, with value and gradient there; None if none does."""
    for length in 0.5 ** np.arange(HALVINGS):
        step = length * direction
        reached, gradient = objective(point + step)
        if reached <= value + SUFFICIENT * length * slope:
            return step, reached, gradient
    return None


def _flatten(gradient: Point, pairs: Pairs) -> Point:
    """Gradient over curvature, which is one but for what the last steps have shown (the two-loop recursion)."""
    result, shares = gradient.copy(), []
    for step, change in reversed(pairs):
        shares.append(np.vdot(step, result) / np.vdot(step, change))
        result -= shares[-1] * change
    if pairs:
        step, change = pairs[-1]
        result *= np.vdot(step, change) / np.vdot(change, change)
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        result += (share - np.vdot(change, result) / np.vdot(step, change)) * step
    return result

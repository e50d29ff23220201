"""Training curves: the loss, and the error at withheld observations that chose the network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..exceptions import ImputeError
from .base import FAINT, INK, colours_of, new_figure, plain, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["training"]

LEAST_RANGE = 0.1  # of the error itself


def training(
    loss: Sequence[tuple[int, float]],
    withheld: Sequence[tuple[int, float]],
    *,
    title: str = "",
    figsize: tuple[float, float] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw what a fit left in its history.

    Parameters
    ----------
    loss : sequence of (int, float)
        Updates and the running mean of the loss.
    withheld : sequence of (int, float)
        Updates and the mean square error at withheld observations, in squared standard
        deviations of the anomalies; its root is drawn.
    title : str
        Above both panels.
    figsize : (float, float), optional
        Width and height in inches.
    path : path, optional
        Where to save the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Two axes, labelled ``"withheld"`` and ``"loss"``.

    Raises
    ------
    ImputeError
        If there is no history, or matplotlib is missing.

    Examples
    --------
    >>> figure = training([(10, 0.5)], [(0, 1.0), (10, 0.25), (20, 0.36)])
    >>> figure.axes[0].get_title()
    'kept: update 10, error 0.5'
    """
    if not withheld:
        raise ImputeError(
            "the history holds no check of the withheld observations; draw the curves of a fitted "
            "imputer: imputer = ds.impute.fit(), then ds.impute.plot.training(imputer)"
        )
    figure = new_figure(8.0, 3.0, figsize)
    left, right = figure.subplots(1, 2)
    left.set_label("withheld")
    right.set_label("loss")
    _withheld(left, withheld)
    steps, values = np.array(loss, dtype=np.float64).reshape(-1, 2).T
    right.plot(steps, values, color=FAINT, linewidth=1.4, marker="o", markersize=3)
    right.set_title("loss of the training samples", fontsize=10, color=INK)
    right.set_ylabel("running mean (dimensionless)", fontsize=8.5, color=INK)
    for ax in (left, right):
        ax.set_xlabel("updates", fontsize=8.5, color=INK)
        plain(ax)
        ax.grid(axis="y", color="#e4e4e4", linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title, fontsize=11, color=INK)
    return save(figure, path)


def _withheld(ax: Axes, withheld: Sequence[tuple[int, float]]) -> None:
    """The curve, with a mark at its lowest point: the state that was kept."""
    steps, squares = np.array(withheld, dtype=np.float64).T
    errors = np.sqrt(squares)
    kept = int(np.argmin(errors))
    colour = colours_of(["ours"])["ours"]
    ax.plot(steps, errors, color=colour, linewidth=1.4, marker="o", markersize=3)
    ax.plot(steps[kept], errors[kept], color=colour, marker="o", markersize=9, fillstyle="none")
    # A change of a hundredth must not look like a fall.
    middle, half = (errors.max() + errors.min()) / 2, np.ptp(errors) / 2
    half = max(1.1 * half, LEAST_RANGE * middle / 2)
    ax.set_ylim(middle - half, middle + half)
    ax.set_title(
        f"kept: update {steps[kept]:.0f}, error {errors[kept]:.3g}", fontsize=10, color=INK
    )
    ax.set_ylabel("RMSE at withheld observations\n(standard deviations)", fontsize=8.5, color=INK)

"""Draw the pictures of the page on ``ds.impute.plot``, from data that are made up on the spot.

    python docs/figures/draw.py

They are written beside this file. Training takes two minutes.
"""

from __future__ import annotations

from pathlib import Path

import xdiffimpute as xdi

HERE = Path(__file__).parent


def main() -> None:
    ds, truth = xdi.example(days=60), xdi.example(days=60, complete=True)
    imputer = ds.impute.fit(max_time="2min", seed=0)
    filled = ds.impute.fill(imputer)
    plot = ds.impute.plot
    figures = {
        "gaps": plot.gaps(),
        "exposure": plot.exposure(),
        "comparison": plot.comparison(filled, truth=truth, frame=30),
        "skill": plot.skill(imputer),
        "spectrum": plot.spectrum(filled, "linear", "climatology", truth=truth),
        "training": plot.training(imputer),
    }
    for name, figure in figures.items():
        figure.savefig(HERE / f"plot_{name}.png", dpi=110, facecolor="white", bbox_inches="tight")


if __name__ == "__main__":
    main()

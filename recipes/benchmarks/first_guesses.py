"""Errors of the first guesses, and of the mixture of them that training starts from.

    python recipes/benchmarks/first_guesses.py

Simulated fields with the gaps of a pattern. Guesses and mixture are those of a fit of a single
step, with all that comes before it: frames that judge covariances, and the rehearsal. Their errors
are those at the hidden cells of samples that were not fitted on: mean square error over the
variance, and over that of the exact answer where it is known. Seconds are of one sample's guesses.
"""

from __future__ import annotations

import time

import numpy as np
import torch
import xarray as xr
from _report import arguments, save, table

import xdiffimpute as xdi
from xdiffimpute.datasets import DATASETS
from xdiffimpute.masks import MASKS

PATTERNS = {
    "30% of the pixels": MASKS.create("pixel", ratio=0.3),
    "5 of 9 blocks": MASKS.create("block", grid=(3, 3), kept=5),
}
# Settings, and how many samples are fitted and judged.
CASES = {
    "gaussian_field": ({"shape": (32, 32), "length": 6.0, "smoothness": 2.5}, 2000, 100),
    "shallow_water": ({"shape": (32, 32), "frames": 8}, 200, 32),
}


def main() -> None:
    options = arguments(__doc__).parse_args()
    results: dict[str, dict[str, float]] = {}
    for name, (settings, fitted, judged) in CASES.items():
        source = DATASETS.create(name, samples=fitted + judged, seed=options.seed, **settings)
        truth = source.open()
        truth = truth[[n for n in truth.data_vars if "sample" in truth[n].dims]]
        for label, pattern in PATTERNS.items():
            rng = np.random.default_rng(options.seed + 1)
            full = np.ones((1, 1, *settings["shape"]), dtype=bool)
            seen = np.stack([pattern(full, rng)[0, 0] for _ in range(fitted + judged)])
            gappy = truth.where(xr.DataArray(seen, dims=("sample", "y", "x")))
            imputer = xdi.DiffusionImputer(
                steps=1, window=settings.get("frames", 1), seed=options.seed, progress=False,
                summary=False,
            ).fit(gappy.isel(sample=slice(0, fitted)))  # fmt: skip
            last = {"sample": slice(fitted, None)}
            row = errors(imputer, gappy.isel(last), truth.isel(last))
            if "frames" not in settings:
                row |= over_exact(row, imputer, source, truth.isel(last), seen[fitted:])
            results[f"{name}, {label}"] = row
    table(results, "MSE at hidden cells over the variance")
    save(options.json, "first_guesses", options, results)


def errors(imputer: xdi.DiffusionImputer, gappy: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    """Of each guess, and of their mixture."""
    denoiser = imputer.fitted.denoiser
    x, target = (standardised(imputer, ds) for ds in (gappy, truth))
    context = torch.isfinite(x).float()
    start = time.perf_counter()
    parts = [denoiser.guess(a[None], c[None]) for a, c in zip(x.nan_to_num(), context, strict=True)]
    seconds = (time.perf_counter() - start) / len(parts)
    guesses = torch.cat(parts)
    weights = denoiser.prior.softmax(dim=0)[1:, :, None, None, None]
    fills = dict(zip(denoiser.first.names, guesses.unbind(dim=1), strict=True))
    fills["mixture"] = (weights * guesses).sum(dim=1)
    hidden = context == 0
    size = float(target[hidden].square().sum())
    row = {k: float((fill - target)[hidden].square().sum()) / size for k, fill in fills.items()}
    return row | {"seconds": seconds}


def standardised(imputer: xdi.DiffusionImputer, ds: xr.Dataset) -> torch.Tensor:
    """Anomalies over their scale, (windows, variables, frames, rows, columns)."""
    fitted = imputer.fitted
    regressors = fitted.spec.clock(ds).regressors(fitted.statistics.harmonics)
    packed = fitted.spec.pack(ds).values
    z = np.stack([fitted.statistics.forward(series, regressors) for series in packed])
    return torch.from_numpy(z.reshape(-1, fitted.window, *z.shape[2:]).swapaxes(1, 2))


def over_exact(
    row: dict[str, float], imputer: xdi.DiffusionImputer, source: object, truth: xr.Dataset,
    seen: np.ndarray,
) -> dict[str, float]:  # fmt: skip
    """Errors over that of the conditional mean, of a variable in single frames."""
    values = next(iter(truth.data_vars.values())).values
    wrong = [(source.posterior(v, o)[0] - v)[~o] for v, o in zip(values, seen, strict=True)]
    least = float(np.mean(np.concatenate(wrong) ** 2))
    anomalies = standardised(imputer, truth).numpy()[:, 0, 0] * float(
        imputer.fitted.statistics.scale[0, 0, 0]
    )
    power = float(np.mean(anomalies[~seen] ** 2))
    return {f"{k} / exact": v * power / least for k, v in row.items() if k != "seconds"}


if __name__ == "__main__":
    main()

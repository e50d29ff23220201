"""Errors of the first guesses by themselves, before any training.

    python recipes/benchmarks/first_guesses.py

Windows of simulated fields with the gaps of a pattern. The guesses are tuned on the observed cells
of some windows and judged at the hidden cells of others: mean square error over the variance, and
over that of the exact answer where it is known. Seconds are those of a batch.
"""

from __future__ import annotations

import time

import numpy as np
import torch
import xarray as xr
from _report import arguments, save, table

from xdiffimpute.datasets import DATASETS
from xdiffimpute.first_guess import FirstGuesses
from xdiffimpute.masks import MASKS
from xdiffimpute.partition import Partition

PIXELS = ("30% of the pixels", "pixel", {"ratio": 0.3})
BLOCKS = ("5 of 9 blocks", "block", {"grid": (3, 3), "kept": 5})
CASES = {
    "gaussian_field": ({"samples": 2100, "shape": (32, 32), "length": 6.0, "smoothness": 2.5}, 100),
    "shallow_water": ({"samples": 232, "shape": (32, 32), "frames": 8}, 32),
}
BATCH = {"gaussian_field": 40, "shallow_water": 5}
REACH = 24


def windows(ds: xr.Dataset) -> np.ndarray:
    """Standardised values, shape (N, C, T, H, W)."""
    parts = []
    for field in ds.data_vars.values():
        if field.ndim < 3:
            continue
        values = field.values.reshape(field.shape[0], -1, *field.shape[-2:])
        parts.append((values - values.mean()) / values.std())
    return np.stack(parts, axis=1).astype(np.float32)


def main() -> None:
    parser = arguments(__doc__)
    options = parser.parse_args()
    torch.set_num_threads(2)
    results: dict[str, dict[str, float]] = {}
    for name, (settings, judged) in CASES.items():
        source = DATASETS.create(name, seed=options.seed, **settings)
        truth = windows(source.open())
        count, channels, frames, height, width = truth.shape
        for label, pattern, how in (PIXELS, BLOCKS):
            rng = np.random.default_rng(options.seed + 1)
            mask = MASKS.create(pattern, **how)
            full = np.ones((1, 1, height, width), dtype=bool)
            seen = np.stack([mask(full, rng)[0, 0] for _ in range(count)])
            observed = np.broadcast_to(seen[:, None, None], truth.shape)
            partition = Partition(mask)
            pairs = [partition.split(sample, rng) for sample in observed[: count - judged]]
            context, query = (
                torch.from_numpy(np.stack(part).astype(np.float32))
                for part in zip(*pairs, strict=True)
            )
            x = torch.from_numpy(truth)
            step = BATCH[name]
            samples = [
                (x[a : a + step] * (context + query)[a : a + step],
                 context[a : a + step], query[a : a + step])
                for a in range(0, min(len(context), 48 * step), step)
            ]  # fmt: skip
            guesses = FirstGuesses(channels, (frames, REACH, REACH), periodic=False)
            start = time.perf_counter()
            guesses.tune(samples)
            tuned = time.perf_counter() - start
            known = torch.from_numpy(observed[count - judged :].astype(np.float32).copy())
            target = x[count - judged :]
            hidden = (1 - known)[:, None]
            found = guesses(target * known, known)
            wrong = ((found - target[:, None]).square() * hidden).sum((0, 2, 3, 4, 5))
            row = {
                guess: float(value / (target.square() * (1 - known)).sum())
                for guess, value in zip(guesses.names, wrong, strict=True)
            }
            start = time.perf_counter()
            guesses(*samples[0][:2])
            row |= {"seconds": time.perf_counter() - start, "tuning": tuned}
            if hasattr(source, "posterior") and frames == 1:
                exact = [
                    (source.posterior(v[0, 0], o)[0] - v[0, 0])[~o]
                    for v, o in zip(truth[count - judged :], seen[count - judged :], strict=True)
                ]
                least = float(np.mean(np.concatenate(exact) ** 2))
                row |= {f"{g} / exact": row[g] / least for g in guesses.names}
            results[f"{name}, {label}"] = row
    table(results, "MSE at hidden cells over the variance")
    save(options.json, "first_guesses", options, results)


if __name__ == "__main__":
    main()

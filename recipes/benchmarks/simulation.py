"""CPU time to simulate a dataset of the paper's size.

python recipes/benchmarks/simulation.py --dataset shallow_water --samples 5000
"""

from __future__ import annotations

import time

from _report import arguments, save

from xdiffimpute.datasets import DATASETS


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--dataset", default="shallow_water")
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--shape", type=int, nargs=2, default=[32, 32])
    options = parser.parse_args()
    source = DATASETS.create(
        options.dataset, samples=options.samples, frames=options.frames,
        shape=tuple(options.shape), seed=options.seed,
    )  # fmt: skip
    cpu, wall = time.process_time(), time.perf_counter()
    ds = source.open()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{options.dataset}: {dict(ds.sizes)}, {ds.nbytes / 1e9:.2f} GB")
    print(f"CPU {cpu / 60:.1f} min, wall {wall / 60:.1f} min")
    save(options.json, "simulation", options, {"cpu_seconds": cpu, "wall_seconds": wall})


if __name__ == "__main__":
    main()

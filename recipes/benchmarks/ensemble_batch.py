"""Time of K members in one batch over that of one: a single sample of 50 x 32 x 32.

    python recipes/benchmarks/ensemble_batch.py

The paper reports 3.36 for K = 10 on an A800 GPU, and 8.32 for 100 x 64 x 64. Rounds alternate
between K = 1 and K = 10 in one process; the median ratio counts. On a CPU it also says what ratio
is the least that the cores allow: that of members which each have a core to themselves and lose
nothing, K times the time of one member on one thread, over the number of threads.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch
from _report import arguments, save

from xdiffimpute.denoiser import Denoiser
from xdiffimpute.masks import MASKS
from xdiffimpute.methods import METHODS
from xdiffimpute.partition import Partition
from xdiffimpute.planning import has_bfloat16
from xdiffimpute.samplers import SAMPLERS


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=[50, 32, 32])
    parser.add_argument("--method", default="paper")
    parser.add_argument("--backbone", default="unet")
    parser.add_argument("--size", default="small")
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.manual_seed(options.seed)
    method = METHODS.create(options.method)
    denoiser = Denoiser(
        1, 0, backbone=options.backbone, size=options.size, **method.network
    ).eval().to(device)  # fmt: skip
    x = torch.randn(1, 1, *options.shape, device=device)
    observed = (torch.rand(x.shape, device=device) < 0.3).float()
    features = torch.zeros(1, 0, *options.shape, device=device)
    partition = method.partition(Partition(MASKS.create("pixel")))

    def fill(members: int, threads: int = torch.get_num_threads()) -> float:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        sampler = SAMPLERS.create("ensemble", members=members)
        rngs = [np.random.default_rng(options.seed)]
        start = time.perf_counter()
        with (
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device)),
        ):
            float(sampler(denoiser, x * observed, observed, features, partition, rngs).mean.sum())
        taken = time.perf_counter() - start
        torch.set_num_threads(before)
        return taken

    fill(1), fill(options.members)
    rounds = [(fill(1), fill(1, 1), fill(options.members)) for _ in range(options.rounds)]
    ratios = [many / one for one, _, many in rounds]
    for (one, alone, many), ratio in zip(rounds, ratios, strict=True):
        print(
            f"K = 1: {one:.3f} s ({alone:.3f} s on one thread), "
            f"K = {options.members}: {many:.3f} s, ratio {ratio:.2f}"
        )
    print(f"median ratio {statistics.median(ratios):.2f}")
    found = {"ratios": ratios, "seconds": rounds}
    if device.type == "cpu":
        threads = torch.get_num_threads()
        least = [options.members * alone / threads / one for one, alone, _ in rounds]
        print(f"least that {threads} threads allow: {statistics.median(least):.2f}")
        found["least"] = least
    save(options.json, "ensemble_batch", options, found)


if __name__ == "__main__":
    main()

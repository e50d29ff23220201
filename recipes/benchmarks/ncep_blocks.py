"""NCEP sea-level pressure with 4 of 9 blocks hidden each day: RMSE at the hidden cells.

    python recipes/benchmarks/ncep_blocks.py --data ncep_slp_2001_2010.nc --minutes 5

The file is any daily sea-level pressure series with dims (time, lat, lon).
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from _report import arguments, compare, hide, save, table

from xdiffimpute.masks import MASKS


def main() -> None:
    parser = arguments(__doc__, data="a netCDF file with one variable", minutes=5.0, methods=True)
    parser.add_argument("--window", type=int, default=5)
    options = parser.parse_args()
    truth = xr.open_dataset(options.data).load()
    name = next(str(n) for n in truth.data_vars if truth[n].ndim == 3)
    rng = np.random.default_rng(options.seed)
    full = np.ones((1, *truth[name].shape), dtype=bool)
    observed = MASKS.create("block", grid=(3, 3), kept=5)(full, rng)[0]
    hidden = xr.DataArray(~observed, dims=truth[name].dims)
    gappy = hide(truth, hidden, [name])

    def ours(ds: xr.Dataset, where: xr.DataArray | None) -> xr.Dataset:
        imputer = ds.impute.fit(
            window=options.window, max_time=60 * options.minutes, seed=options.seed
        )
        print(imputer)
        return ds.impute.fill(imputer, where=where)

    results = compare(gappy, truth, hidden, [name], ours, options.methods)
    table(results, "RMSE at hidden cells")
    linear = results.get("linear", {}).get(name, float("nan"))
    print(f"\nratio to linear: {results['xdiffimpute'][name] / linear:.3f}")
    save(options.json, "ncep_blocks", options, results)


if __name__ == "__main__":
    main()

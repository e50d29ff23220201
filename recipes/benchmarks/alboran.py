"""AVHRR sea surface temperature under clouds: RMSE where another day's clouds were laid over it.

    python recipes/benchmarks/alboran.py --data alboranSST_small.nc --hidden alboran_hidden.nc

The data are those of the DINEOF distribution; ``hidden`` holds a mask of the same dims, 1
where an observation is to be hidden.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr
from _report import arguments, compare, hide, save, table


def main() -> None:
    parser = arguments(__doc__, data="netCDF file with the SST", minutes=5.0, methods=True)
    parser.add_argument("--hidden", type=Path, required=True, help="netCDF file with the mask")
    parser.add_argument("--tile", type=int)
    options = parser.parse_args()
    truth = xr.open_dataset(options.data).load()
    name = next(str(n) for n in truth.data_vars if truth[n].ndim == 3)
    mask = xr.open_dataset(options.hidden)
    hidden = xr.DataArray(next(iter(mask.data_vars.values())).values > 0, dims=truth[name].dims)
    hidden = hidden & truth[name].notnull()
    print(f"{int(hidden.sum())} hidden points, spread {float(truth[name].where(hidden).std()):.3f}")
    gappy = hide(truth, hidden, [name])

    def ours(ds: xr.Dataset, where: xr.DataArray | None) -> xr.Dataset:
        imputer = ds.impute.fit(
            variables=[name], tile=options.tile, max_time=60 * options.minutes, seed=options.seed
        )
        print(imputer)
        return ds.impute.fill(imputer, where=where)

    results = compare(gappy, truth, hidden, [name], ours, options.methods)
    table(results, "RMSE at hidden cells")
    save(options.json, "alboran", options, results)


if __name__ == "__main__":
    main()

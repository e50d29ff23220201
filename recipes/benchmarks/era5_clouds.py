"""A week of global ERA5 under real clouds: RMSE at the hidden cells of each variable.

    python recipes/benchmarks/era5_clouds.py --data era5_week.nc --masks real_gap_masks.nc

The cloud masks of a satellite product (1 = observed; the largest sea is taken, its land never
counts as cloud) are mirrored and tiled to cover the globe, another scene each frame, and
laid over all variables at once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from _report import arguments, compare, hide, save, table
from _strip import draw_strip


def global_clouds(scenes: np.ndarray, shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """True where a cell is observed, (N, H, W), from scenes (n, h, w) with land always 0."""
    rng = np.random.default_rng(seed)
    land = ~scenes.any(axis=0)
    filled = []
    for scene in scenes:
        # where the product has land, borrow the clouds of the mirrored scene, then clear sky
        mirrored = np.where(land, scene[::-1] | land[::-1], scene)
        filled.append(mirrored.astype(bool))
    n, h, w = shape
    out = np.empty(shape, dtype=bool)
    for k in range(n):
        rows = []
        for _ in range(-(-h // filled[0].shape[0])):
            row = []
            for _ in range(-(-w // filled[0].shape[1])):
                scene = filled[int(rng.integers(len(filled)))]
                scene = np.roll(scene, int(rng.integers(scene.shape[1])), axis=1)
                row.append(scene[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])])
            rows.append(np.concatenate(row, axis=1))
        out[k] = np.concatenate(rows, axis=0)[:h, :w]
    return out


def picture(path: Path, truth: xr.Dataset, gappy: xr.Dataset, filled: xr.Dataset) -> None:
    """The eastward wind over the North Atlantic and Europe, in the frame with most clouds there."""
    here = {"latitude": slice(72, 32), "longitude": slice(-38, 42)}

    def part(field: xr.DataArray) -> xr.DataArray:
        west = (field["longitude"] + 180) % 360 - 180
        return field.assign_coords(longitude=west).sortby("longitude").sel(here)

    clouds = part(gappy["u10"]).isnull().sum(["latitude", "longitude"])
    frame = int(clouds.argmax("time"))
    maps = (truth["u10"], gappy["u10"], filled["u10"], filled["u10_standard_error"])
    draw_strip(
        path, *(part(field).isel(time=frame) for field in maps),
        label="10 m wind, eastward", units="m s⁻¹",
    )  # fmt: skip


def main() -> None:
    parser = arguments(__doc__, data="netCDF file with the fields", minutes=10.0, methods=True)
    parser.add_argument("--masks", type=Path, required=True, help="netCDF file with cloud masks")
    parser.add_argument("--product", default="sentinel3_lst", help="variable of the mask file")
    parser.add_argument("--tile", type=int, default=64)
    parser.add_argument("--picture", type=Path, help="draw a frame of the wind and save it here")
    parser.add_argument("--names", nargs="*", default=["t2m", "msl", "u10", "v10", "tp"])
    options = parser.parse_args()
    truth = xr.open_dataset(options.data).load()
    scenes = xr.open_dataset(options.masks)[options.product].values > 0
    first = truth[options.names[0]]
    observed = global_clouds(scenes, first.shape, options.seed)
    hidden = xr.DataArray(~observed, dims=first.dims)
    print(f"{float(hidden.mean()):.1%} of the cells hidden")
    gappy = hide(truth, hidden, options.names)

    def ours(ds: xr.Dataset, where: xr.DataArray | None) -> xr.Dataset:
        imputer = ds.impute.fit(
            variables=options.names, tile=options.tile, max_time=60 * options.minutes,
            seed=options.seed,
        )  # fmt: skip
        print(imputer)
        filled = ds.impute.fill(imputer, where=where)
        if options.picture is not None:
            picture(options.picture, truth, gappy, filled)
        return filled

    results = compare(gappy, truth, hidden, options.names, ours, options.methods)
    table(results, "RMSE at hidden cells")
    save(options.json, "era5_clouds", options, results)


if __name__ == "__main__":
    main()

"""What `import xdiffimpute` adds to `import xarray`: medians of alternating fresh processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from _report import arguments, save


def seconds(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    base, whole = [], []
    for _ in range(options.repeats):
        base.append(seconds("import xarray"))
        whole.append(seconds("import xarray, xdiffimpute"))
    added = [b - a for a, b in zip(base, whole, strict=True)]
    results = {
        "import xarray (s)": statistics.median(base),
        "added by xdiffimpute (s)": statistics.median(added),
        "quartiles of what is added (s)": statistics.quantiles(added, n=4),
    }
    print(results)
    save(options.json, "import_time", options, results)


if __name__ == "__main__":
    main()

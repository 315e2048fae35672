"""`python -m bench.scale [--load FILE] [--costs FILE] [--set NAME=VALUE …] [--json]`: what a load needs.

python -m bench.scale                                    # the load that the design starts from
python -m bench.scale --set people=2000 --set file_writes_per_s=0.5 --set bytes_per_day=2e10 --set total_bytes=1e13
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import Final

from bench.scale.model import Figure, needed

HERE: Final = Path(__file__).parent
_SCALES: Final = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description="What a load needs, from measured unit costs.")
    parser.add_argument("--load", type=Path, default=HERE / "load.toml", help="a load, as bench/scale/load.toml")
    parser.add_argument("--costs", type=Path, default=HERE / "costs.toml", help="unit costs and prices, as bench/scale/costs.toml")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another value for a name of either file")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    given = parser.parse_args(arguments)
    tables = {"load": tomllib.loads(given.load.read_text())} | tomllib.loads(given.costs.read_text())
    for change in given.set:
        name, _, value = change.partition("=")
        homes = [table for table in tables.values() if name in table]
        try:
            number = float(value)
        except ValueError:
            parser.error(f"{change!r} is not NAME=VALUE with a number")
        if not homes:
            parser.error(f"{name!r} stands in neither file")
        homes[0][name] = number
    missing = {"load", "measured", "bounds", "prices"} - tables.keys()
    if missing:
        parser.error(f"{given.costs} has no [{min(missing)}]")
    try:
        figures = needed(tables["load"], tables["measured"], tables["bounds"], tables["prices"])
    except KeyError as error:
        parser.error(f"{error.args[0]!r} is missing in the files given")
    if given.json:
        print(json.dumps({figure.name: figure.value for figure in figures}))
    else:
        width = max(len(figure.name) for figure in figures)
        for figure in figures:
            print(f"{figure.name:<{width}}  {_shown(figure):>14}  {figure.how}")
    return 0


def _shown(figure: Figure) -> str:
    value = figure.value
    if figure.unit == "$":
        return f"$ {value:,.0f}" if value >= 100 else f"$ {value:,.4f}"
    if figure.unit in ("", "/s") and value < 1e6:
        return f"{value:,.0f}{figure.unit}" if value >= 10 else f"{value:,.2f}".rstrip("0").rstrip(".") + figure.unit
    for size, letter in _SCALES:
        if value >= size:
            return f"{value / size:,.1f} {letter}{figure.unit}"
    return f"{value:,.0f} {figure.unit}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

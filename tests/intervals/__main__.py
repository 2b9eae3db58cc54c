"""How often the intervals of an ablation hold, in simulated tables: python -m tests.intervals [--tables 10000]

Draws tables with known effects, and prints how often each kind of interval contains the true effect: a row's interval
alone, its own interval, and those for all rows together, all at once. For the last column, nothing helps: it is the
part of the tables that say that something does.

With --runs, it prints how many runs each mode needs instead, with the noise measured in docs/data.
"""

from __future__ import annotations

import argparse

from tests.intervals import coverage, runs

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tables", type=int, default=10_000, metavar="N", help="tables of each kind")
    parser.add_argument("--only", default="", metavar="TEXT", help="the kinds whose description contains a text")
    parser.add_argument("--runs", action="store_true", help="print how many runs each mode needs")
    given = parser.parse_args()
    if given.runs:
        runs.table()
    else:
        coverage.table(given.tables, given.only)

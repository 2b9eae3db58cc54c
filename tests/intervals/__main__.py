"""How often the intervals of an ablation hold, in simulated tables: python -m tests.intervals [--tables 10000]

Draws tables with known effects, and prints how often each kind of interval contains the true effect: a row's interval
alone, its own interval, and those for all rows together, all at once. For the last column, nothing helps: it is the
part of the tables that say that something does.
"""

from __future__ import annotations

import argparse

from tests.intervals import coverage

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tables", type=int, default=10_000, metavar="N", help="tables of each kind")
    coverage.table(parser.parse_args().tables)

"""`python -m benchmarks`: throughput, latency, backtest, rule tests, storm; options go to each that knows them."""

from __future__ import annotations

import sys

from benchmarks import backtest, latency, rules_test, storm, throughput

if __name__ == "__main__":
    if "--kafka" in sys.argv:
        sys.argv.remove("--kafka")
        throughput.main()
        sys.argv.append("--kafka")
    else:
        throughput.main()
    print()
    latency.main()
    print()
    backtest.main()
    print()
    rules_test.main()
    print()
    sys.exit(storm.main())

"""`python -m benchmarks`: throughput, then latency; options go to both."""

from __future__ import annotations

import sys

from benchmarks import latency, throughput

if __name__ == "__main__":
    if "--kafka" in sys.argv:
        sys.argv.remove("--kafka")
        throughput.main()
        sys.argv.append("--kafka")
    else:
        throughput.main()
    print()
    latency.main()

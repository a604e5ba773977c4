#!/usr/bin/env python3
"""Prints graph_bench's medians and what the issue is about: each way against the plain loop.

usage: compare.py graph_bench.json
"""
import collections
import json
import statistics
import sys


def main(path):
    report = json.load(open(path))
    times = collections.defaultdict(list)  # name -> seconds of each repetition
    for run in report["benchmarks"]:
        if run["run_type"] == "iteration":
            times[run["run_name"].removesuffix("/real_time")].append(run["real_time"] / 1e3)
    print(f"{report['context']['date']}, {report['context']['num_cpus']} processors")
    print("| chain | way | median s | min to max | plain loop / it |")
    print("| --- | --- | --- | --- | --- |")
    for name, seconds in times.items():
        chain, way = name.split("/", 1)
        lanes = way.rsplit("/", 1)[1]
        plain = statistics.median(times[f"{chain}/plain_loop/{lanes}"])
        median = statistics.median(seconds)
        print(f"| {chain} | {way} | {median:.3f} | {min(seconds):.3f} to {max(seconds):.3f} "
              f"| {plain / median:.3f} |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])

#!/usr/bin/env python3
"""Tables of what run-peers.sh has measured: summarize.py results.tsv

For each corpus and phase, programs from fast to slow: the median and range of wall time, how many times
the fastest's that is, processor time, peak memory, and the repository's size at that moment.
"""

import csv
import sys
from collections import defaultdict
from statistics import median


def read(path):
    """Measured calls by corpus, phase and program, in the order in which they were first made."""
    calls = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["program"] == "program":
                continue  # The header of another set of runs in the same file.
            program = f"{row['program']} {row['version']}"
            if row["exit"] != "0":
                print(f"{program} failed: {row['corpus']}, {row['phase']}, run {row['run']}", file=sys.stderr)
                continue
            numbers = [float(row[name]) for name in ("wall_s", "cpu_s", "rss_mib", "repository_mib")]
            calls[row["corpus"]][row["phase"]][program].append(numbers)
    return calls


def table(phases):
    """The lines of a table in Markdown."""
    yield "| phase | program | wall s: median (range, runs) | × fastest | CPU s | peak MiB | repository MiB |"
    yield "|---|---|---|--:|--:|--:|--:|"
    for phase, programs in phases.items():
        medians = {program: [median(column) for column in zip(*runs)] for program, runs in programs.items()}
        fastest = max(min(numbers[0] for numbers in medians.values()), 0.01)
        for program, (wall, cpu, memory, size) in sorted(medians.items(), key=lambda item: item[1][0]):
            walls = [run[0] for run in programs[program]]
            span = f"{wall:.2f} ({min(walls):.2f}–{max(walls):.2f}, {len(walls)})"
            yield f"| {phase} | {program} | {span} | {wall / fastest:.1f} | {cpu:.2f} | {memory:.0f} | {size:.0f} |"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for corpus, phases in read(sys.argv[1]).items():
        print(f"\n### {corpus}\n")
        print("\n".join(table(phases)))


if __name__ == "__main__":
    main()

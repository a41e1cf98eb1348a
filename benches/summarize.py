#!/usr/bin/env python3
"""Tables and plots of what run-peers.sh has measured: summarize.py results.tsv [FOLDER]

For each corpus and phase, programs from fast to slow: the median and range of wall time, how many times
the fastest's that is, processor time, peak memory, and the repository's size at that moment. With a folder,
each corpus also gets a plot there, as SVG.
"""

import csv
import sys
from pathlib import Path
from xml.sax.saxutils import escape
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


BAR, GAP, LEFT, WIDTH = 18, 14, 150, 460
COLOURS = ("#1b6ca8", "#c9762c", "#6a994e", "#8d5a97", "#7f7f7f")


def plot(corpus, phases):
    """A bar for each program in each phase: the median of wall time, with a line over the range."""
    programs = sorted({program for runs in phases.values() for program in runs})
    longest = max(run[0] for runs in phases.values() for calls in runs.values() for run in calls)
    scale = WIDTH / max(longest, 0.01)
    parts, y = [], 40
    for phase, runs in phases.items():
        parts.append(f'<text x="{LEFT - 10}" y="{y + BAR - 5}" text-anchor="end">{escape(phase)}</text>')
        for program in programs:
            walls = [run[0] for run in runs.get(program, [])]
            if not walls:
                continue
            middle, low, high = (value * scale for value in (median(walls), min(walls), max(walls)))
            colour, centre = COLOURS[programs.index(program) % len(COLOURS)], y + BAR / 2
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{middle:.1f}" height="{BAR - 4}" fill="{colour}"/>')
            parts.append(f'<path d="M{LEFT + low:.1f} {centre - 2}H{LEFT + high:.1f}" stroke="#222"/>')
            label = f"{escape(program)}: {median(walls):.2f} s"
            parts.append(f'<text x="{LEFT + high + 6:.1f}" y="{y + BAR - 6}" font-size="11">{label}</text>')
            y += BAR
        y += GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 190}" height="{y}" font-family="sans-serif" font-size="13">'
    title = f'<text x="{LEFT}" y="22" font-weight="bold">{escape(corpus)}: seconds, medians and ranges</text>'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', title, *parts, "</svg>", ""])


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    for corpus, phases in read(sys.argv[1]).items():
        print(f"\n### {corpus}\n")
        print("\n".join(table(phases)))
        if len(sys.argv) == 3:
            name = f"{corpus}.svg"
            (Path(sys.argv[2]) / name).write_text(plot(corpus, phases), encoding="utf-8")
            print(f"\n![{corpus}]({name})")


if __name__ == "__main__":
    main()

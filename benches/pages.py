#!/usr/bin/env python3
"""Backs up a database of SQLite night after night, one row in a hundred changed and one in a hundred added each time,
with files cut by content and at their pages: `pages.py [NIGHTS [ROWS]]` (4 nights, 500,000 rows: about 120 MB). Says
for each night what each way has stored, and how long it took; the last night is restored and compared. Needs space
for the database three times, and for two repositories, in $BENCH_WORK."""

import filecmp
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time

WAYS = ["content", "auto"]
WORDS = "invoice paid open sent customer order returned shipped waiting address street item gross net".split()
MB = 1_000_000


def row(chance, number):
    text = " ".join(chance.choice(WORDS) for _ in range(20))
    return number, chance.randbytes(8).hex(), chance.randrange(1_000_000), f"{text} {chance.randbytes(24).hex()}"


def begin(path, rows, chance):
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, code TEXT, amount INTEGER, note TEXT)")
    database.execute("CREATE INDEX item_code ON item (code)")
    database.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", (row(chance, number) for number in range(rows)))
    database.commit()
    return database


def age(database, chance):
    """Changes rows everywhere, and adds some."""
    rows = database.execute("SELECT count(*) FROM item").fetchone()[0]
    changed = chance.sample(range(rows), rows // 100)
    database.executemany(
        "UPDATE item SET amount = ? WHERE id = ?", ((chance.randrange(1_000_000), number) for number in changed)
    )
    added = (row(chance, number) for number in range(rows, rows + rows // 100))
    database.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", added)
    database.commit()


def keepfast(work, way, *arguments):
    variables = {
        "KEEPFAST_PASSWORD": "bench",
        "KEEPFAST_REPOSITORY": f"{work}/{way}",
        "KEEPFAST_CACHE_DIR": f"{work}/cache-{way}",
    }
    subprocess.run(["keepfast", "--quiet", *arguments], check=True, env=os.environ | variables)


def stored(folder):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


def main():
    nights, rows = (int(word) for word in (sys.argv[1:] + ["4", "500000"][len(sys.argv) - 1 :]))
    target = os.environ.get("CARGO_TARGET_DIR") or os.path.expanduser("~/.cache/keepfast/target")
    os.environ["PATH"] = f"{target}/release:{os.environ['PATH']}"
    work = os.environ.get("BENCH_WORK", "/var/tmp/keepfast-pages")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(f"{work}/source")
    path, chance = f"{work}/source/shop.db", random.Random(1)
    try:
        database = begin(path, rows, chance)
        for way in WAYS:
            keepfast(work, way, "init")
        before = {way: stored(f"{work}/{way}") for way in WAYS}
        for night in range(1, nights + 1):
            told = []
            for way in WAYS:
                begun = time.monotonic()
                keepfast(work, way, "backup", "--chunking", way, f"{work}/source")
                seconds, now = time.monotonic() - begun, stored(f"{work}/{way}")
                told.append(f"{way} {(now - before[way]) / MB:.1f} MB in {seconds:.1f} s")
                before[way] = now
            print(f"night {night}, {os.path.getsize(path) / MB:.0f} MB: {', '.join(told)}", flush=True)
            if night < nights:
                age(database, chance)
        database.close()
        for way in WAYS:
            begun = time.monotonic()
            keepfast(work, way, "restore", "--snapshot", "latest", "--target", f"{work}/restored-{way}")
            seconds = time.monotonic() - begun
            same = filecmp.cmp(path, f"{work}/restored-{way}{path}", shallow=False)
            print(f"restore, {way}: {seconds:.1f} s, {'the same' if same else 'DIFFERENT'}")
            shutil.rmtree(f"{work}/restored-{way}")
    finally:
        if not os.environ.get("KEEP"):
            shutil.rmtree(work, ignore_errors=True)


main()

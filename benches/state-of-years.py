#!/usr/bin/env python3
"""Makes a server that has worked for years: `state-of-years.py FOLDER [RUNS [SNAPSHOTS]]` writes FOLDER/keepfast.toml
with 50 plans, and FOLDER/state.db with 100,000 runs and a catalogue of 50,000 snapshots. The program makes the tables;
the rows are written by SQL, so that this takes seconds. Nothing is backed up: the repository isn't there."""

import json
import os
import sqlite3
import subprocess
import sys
import time

PLANS = 50
HOSTS = 200
SECOND = 1_000_000
HOUR = 3600 * SECOND


def configuration(folder):
    plans = "".join(
        f'\n[plan.plan-{number}]\ninherits = ["hourly"]\n'
        f'schedule = {{ cron = "{number} * * * *", deadline = "50m" }}\nsource = [{{ files = ["/srv/{number}"] }}]\n'
        for number in range(PLANS)
    )
    return f"""version = 1

[server]
timezone = "Europe/Paris"
state = {{ sqlite = "{folder}/state.db" }}

[repository.main]
url = "{folder}/repository"
password = {{ file = "{folder}/password" }}
cache = "{folder}/cache"

[template.hourly]
repository = "main"
rpo = "3h"
retention = {{ daily = 14, monthly = 12, at_least = 3 }}
{plans}"""


def insert(database, table, rows):
    names = list(rows[0])
    marks = ", ".join("?" * len(names))
    statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"
    database.executemany(statement, ([row[name] for name in names] for row in rows))


def run(number, runs, now):
    """The newest runs ended within the last hour; each plan runs once an hour."""
    plan = number % PLANS
    due = (now // HOUR - (runs - number) // PLANS - 1) * HOUR + plan * 60 * SECOND
    failed = number % 1000 == 0
    return {
        "number": number, "id": f"{number:032x}", "kind": "backup", "plan": f"plan-{plan}", "repository": "main",
        "host": f"host-{number % HOSTS}", "slot": due, "slots": 1, "due": due, "trigger_kind": "schedule",
        "root": f"{number:032x}", "attempt": 1, "state": "ended", "verdict": "failed" if failed else "ok",
        "created": due, "started": due, "ended": due + 60 * SECOND, "server": "a", "boot": "1",
        "lease": 120 * SECOND, "lease_until": due, "beat": 9, "fence": number, "config": "c", "phase": "commit",
        "counters": json.dumps({"bytes": 123_456_789, "files": 1000}), "report": json.dumps({"text": "x" * 1500}),
        "error_category": "network" if failed else None, "fingerprint": f"f{number % 7}" if failed else None,
        "error": "no answer" if failed else None,
        "files": None if failed else 1000, "source_bytes": None if failed else 40 << 30, "read_bytes": None if failed else 1 << 30,
        "new_bytes": None if failed else 200 << 20, "stored_bytes": None if failed else (80 + number % 17) << 20,
    }


def snapshot(number, snapshots, now):
    tags = ["nightly", "keep"] if number % 5000 == 0 else ["nightly"]
    return {
        "repository": "main", "id": f"{number * 7919:064x}", "time": now - (snapshots - number) * 600 * SECOND,
        "host": f"host-{number % HOSTS}", "plan": f"plan-{number % PLANS}", "tags": json.dumps(tags), "files": 1000,
        "size_bytes": 1 << 40, "new_bytes": 1 << 20, "clean": 1,
    }


def words(snapshot):
    tags = json.loads(snapshot["tags"])
    found = {snapshot["host"], snapshot["plan"], *tags, *(f"#{tag}" for tag in tags)}
    return [
        {"word": word, "time": snapshot["time"], "repository": snapshot["repository"], "id": snapshot["id"]}
        for word in found
    ]


def main():
    folder = os.path.abspath(sys.argv[1])
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    snapshots = int(sys.argv[3]) if len(sys.argv) > 3 else 50_000
    os.makedirs(folder, mode=0o700)
    file = f"{folder}/keepfast.toml"
    with open(file, "w") as out:
        out.write(configuration(folder))
    with open(f"{folder}/password", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
        out.write("bench\n")
    # It makes the tables; that plans are overdue is no failure here.
    subprocess.run(["keepfast", "--config", file, "runs", "list"], check=True, stdout=subprocess.DEVNULL)
    now = time.time_ns() // 1000
    with sqlite3.connect(f"{folder}/state.db") as database:
        rows = [run(number, runs, now) for number in range(1, runs + 1)]
        insert(database, "run", rows)
        insert(database, "slot", [
            {"schedule": f"plan:{row['plan']}", "slot": row["slot"], "last": row["slot"], "slots": 1, "outcome": "fired",
             "run": row["id"], "decided": row["slot"]}
            for row in rows
        ])
        insert(database, "plan_state", [
            {"plan": f"plan-{number}", "born": rows[0]["due"], "last_ok": rows[number - PLANS]["due"]} for number in range(PLANS)
        ])
        database.execute("UPDATE counter SET last = ? WHERE name = 'fence'", [runs])
        rows = [snapshot(number, snapshots, now) for number in range(snapshots)]
        insert(database, "snapshot", rows)
        insert(database, "snapshot_word", [word for row in rows for word in words(row)])
    database.close()
    print(f"{runs} runs and {snapshots} snapshots are in {folder}/state.db")


main()

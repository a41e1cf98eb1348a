#!/usr/bin/env python3
"""Measures a database as a source: `databases.py [MEGABYTES]` (default 2000).

A PostgreSQL server of its own, on a socket, gets tables of pgbench of about this size. Then, one after the other: `pg_dump |
zstd -3` into a file and `keepfast backup --source` into a repository; `pg_restore -j 2` of a directory archive and `keepfast
restore --database` into a new database each. Prints seconds, and the bytes that are stored; then what a second night adds after
one row in a hundred was changed. keepfast is the program on the PATH. Needs PostgreSQL's programs, zstd, and root or the user
postgres."""

import glob
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

MEGABYTES = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
# A scale of pgbench is about 15 MB of tables and indexes.
SCALE = max(1, MEGABYTES // 15)
PROGRAMS = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
PORT = "54399"


def program(name):
    return os.path.join(PROGRAMS, name)


class Server:
    def __init__(self, folder):
        self.folder = os.path.join(folder, "server")
        os.mkdir(self.folder, 0o700)
        self.as_server = []
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
            os.chmod(folder, 0o755)
            self.as_server = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        data = os.path.join(self.folder, "data")
        self.run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        settings = ["-c", "listen_addresses=", "-c", "max_wal_size=8GB", "-c", "shared_buffers=256MB"]
        self.process = subprocess.Popen(
            [*self.as_server, program("postgres"), "-D", data, "-k", self.folder, "-p", PORT, *settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while subprocess.run([program("pg_isready"), "-q", *self.client()]).returncode:
            time.sleep(0.2)

    def client(self):
        return ["-h", self.folder, "-p", PORT, "-U", "postgres"]

    def run(self, name, *arguments):
        subprocess.run([*self.as_server, program(name), *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def address(self, name):
        return f"postgres://postgres@localhost:{PORT}/{name}?socket={self.folder}"

    def sql(self, name, text):
        subprocess.run([program("psql"), *self.client(), "-qX", "-d", name, "-c", text], check=True, stdout=subprocess.DEVNULL)


def size(path):
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


def timed(what, command, stored=None, **more):
    before = size(stored) if stored and os.path.exists(stored) else 0
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **more)
    seconds = time.monotonic() - begun
    added = f", {(size(stored) - before) / 1e6:.1f} MB" if stored else ""
    print(f"{what:<44} {seconds:7.1f} s{added}", flush=True)


def main():
    folder = tempfile.mkdtemp(prefix="keepfast-bench-", dir=os.environ.get("BENCH_WORK", "/var/tmp"))
    server = Server(folder)
    try:
        server.sql("postgres", "CREATE DATABASE shop")
        server.run("pgbench", *server.client(), "-i", "-q", "-s", str(SCALE), "shop")
        server.sql("shop", "CHECKPOINT")
        environment = {**os.environ, "KEEPFAST_PASSWORD": "bench", "KEEPFAST_REPOSITORY": os.path.join(folder, "repository"), "KEEPFAST_CACHE_DIR": os.path.join(folder, "cache")}
        subprocess.run(["keepfast", "init"], env=environment, check=True, stdout=subprocess.DEVNULL)
        quoted = " ".join(server.client())
        plain, archive = os.path.join(folder, "shop.sql.zst"), os.path.join(folder, "archive")
        timed("pg_dump | zstd -3", ["bash", "-c", f"set -o pipefail; {program('pg_dump')} {quoted} shop | zstd -q -3 -o {plain}"], plain)
        backup = ["keepfast", "backup", "--quiet", "--source", server.address("shop"), "--source-name", "shop"]
        repository = environment["KEEPFAST_REPOSITORY"]
        timed("keepfast backup --source", backup, repository, env=environment)
        timed("pg_dump -Fd -j 2 (zlib)", [program("pg_dump"), *server.client(), "-Fd", "-j", "2", "-f", archive, "shop"], archive)
        server.sql("postgres", "CREATE DATABASE one")
        timed("pg_restore -j 2", [program("pg_restore"), *server.client(), "-j", "2", "-d", "one", archive])
        server.sql("postgres", "CREATE DATABASE three")
        timed("zstd -d | psql", ["bash", "-c", f"set -o pipefail; zstd -qdc {plain} | {program('psql')} {quoted} -qX -d three"])
        timed("keepfast restore --database", ["keepfast", "restore", "--quiet", "--snapshot", "latest", "--database", server.address("two")], env=environment)
        server.sql("shop", "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % 100 = 0")
        timed("keepfast backup, 1 % of rows changed", backup, repository, env=environment)
        timed("keepfast backup, nothing changed", backup, repository, env=environment)
    finally:
        server.process.terminate()
        server.process.wait()
        shutil.rmtree(folder)


main()

#!/usr/bin/env python3
"""Measures what the pages of the dashboard ask a server for: `bench-api.py [TRIES [ENTRIES]]`.

The server is the real one. Its state has 100,000 runs and a catalogue of 50,000 snapshots (state-of-years.py), and it has a
repository with a snapshot of a folder of ENTRIES (default a million) files, and another one in which ten are different.
Prints what the server takes when no one asks for anything; for each request of each page the median and the slowest of
TRIES (default 20), in milliseconds; the same of the slowest request of each page; and the server's memory after that."""

import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

TRIES = int(sys.argv[1]) if len(sys.argv) > 1 else 20
ENTRIES = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
IDLE_S = int(os.environ.get("IDLE_S", "60"))
RUNS = 100_000
PASSWORD = "a bench for benches"
HERE = os.path.dirname(os.path.abspath(__file__))


class Server:
    def __init__(self, config):
        self.process = subprocess.Popen(["keepfast", "--config", config, "serve"], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r"the API is at http://(\S+)", line)
            if found:
                self.place = found[1]
                break
        # What it says must not fill the pipe.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        self.connection = http.client.HTTPConnection(self.place)
        self.cookie = None

    def ask(self, method, path, body=None):
        """The answer's body; an answer that is no success is an error."""
        headers = {"Cookie": self.cookie} if self.cookie else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        self.connection.request(method, "/api/v1" + path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status == 429:
            time.sleep(1)
            return self.ask(method, path, body and json.loads(body))
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {text.decode()}")
        cookies = answer.msg.get_all("Set-Cookie")
        if cookies:
            self.cookie = "; ".join(cookie.split(";")[0] for cookie in cookies)
        return text

    def get(self, path):
        return json.loads(self.ask("GET", path))

    def memory_mib(self, what):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith(what))

    def processor_s(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def command(config, *arguments):
    done = subprocess.run(["keepfast", "--config", config, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"keepfast {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def prepare(work):
    """A server's folder; returns its configuration."""
    years, many = f"{work}/years", f"{work}/many"
    subprocess.run([f"{HERE}/state-of-years.py", years, str(RUNS)], check=True, stdout=sys.stderr)
    config = f"{years}/keepfast.toml"
    with open(config) as file:
        text = file.read()
    text = text.replace("[server]\n", '[server]\nlisten = "127.0.0.1:0"\n')
    text += f"""
[repository.large]
url = "{work}/large"
password = {{ file = "{years}/password" }}
cache = "{work}/cache"

[plan.large]
repository = "large"
source = [{{ files = ["{many}"] }}]
"""
    with open(config, "w") as file:
        file.write(text)
    with open(f"{years}/sign-in", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(PASSWORD + "\n")
    command(config, "user", "add", "ann", "--from-file", f"{years}/sign-in", "--role", "admin", "--see-names", "--read-content")
    os.mkdir(many)
    folder = os.open(many, os.O_PATH)
    for number in range(ENTRIES):
        os.mknod(f"file-{number:07}.txt", 0o644, dir_fd=folder)
    environment = {**os.environ, "KEEPFAST_PASSWORD": "bench"}
    subprocess.run(["keepfast", "init", "-r", f"{work}/large"], check=True, env=environment, stdout=sys.stderr)
    command(config, "run", "large")
    for number in range(0, ENTRIES, max(ENTRIES // 10, 1)):
        with open(f"{many}/file-{number:07}.txt", "w") as file:
            file.write("other\n")
    command(config, "run", "large")
    shutil.rmtree(many)
    # They have nothing to back up, and no place for it.
    for number in range(50):
        command(config, "pause", f"plan-{number}")
    return config


def pages(server, work):
    """The requests of each page, as web/src/pages has them."""
    newest, root = f"{RUNS:032x}", urllib.parse.quote(f"{work}/many")
    until = time.monotonic() + 120
    while len(found := server.get("/snapshots?repository=large")["items"]) < 2:
        if time.monotonic() > until:
            raise SystemExit("the catalogue doesn't get the large snapshots")
        time.sleep(1)
    large, before = (f"/snapshots/large/{row['snapshot']}" for row in found)
    with_before = before.rsplit("/", 1)[1]
    backup = server.get("/runs?plan=large&limit=1")["items"][0]["run"]
    middle = urllib.parse.quote(f"{work}/many/file-{ENTRIES // 2:07}.txt")
    page = server.get(f"{large}/files?path={root}&limit=500")
    listing = server.get("/runs?limit=50")
    return {
        "all pages": ["/session", "/about", "/problems?state=open&limit=100", "/notifications?limit=20"],
        "overview": ["/overview", "/overview/matrix?days=30"],
        "plans": ["/plans?limit=500"],
        "plan": [
            "/plans/plan-7", "/overview/matrix?days=30&plan=plan-7", "/plans/plan-7/history?limit=60",
            "/runs?plan=plan-7&open=true&limit=5",
        ],
        "runs": [
            "/runs?limit=50", f"/runs?limit=50&after={listing['next']}", "/runs?limit=50&verdict=failed",
            "/runs?limit=50&plan=plan-7", "/runs?limit=50&host=host-7", "/runs?limit=50&open=true", "/runs?limit=50&kind=backup&from=2026-01-01T00:00:00Z",
        ],
        "run": [f"/runs/{newest}", f"/runs/{backup}", f"/runs/{backup}/log?level=info&limit=200"],
        "schedule": ["/schedule?limit=500"],
        "repositories": ["/repositories"],
        "repository": ["/repositories/main", "/repositories/main/history?limit=500", "/runs?repository=main&limit=8"],
        "snapshots": [
            "/snapshots?limit=100", "/snapshots?limit=100&plan=plan-7", "/snapshots?limit=100&repository=main",
            "/snapshots?limit=100&search=nightly%20host-7", "/snapshots?limit=100&search=keep", "/snapshots?limit=100&host=host-7",
            "/snapshots?limit=100&tag=keep", "/catalogue",
        ],
        "snapshot": [
            large, f"{large}/files?path={root}&limit=100", f"{large}/files?path={root}&limit=500",
            f"{large}/files?path={root}&limit=500&after={page['next']}",
            f"{large}/files?path={root}&limit=100&after={key(f'file-{ENTRIES - 50:07}.txt')}", f"{large}/diff?with={with_before}&limit=100",
            f"{large}/content?path={middle}",
        ],
        "logs": ["/logs?limit=200", "/logs?limit=200&level=warning", "/logs?limit=200&search=nowhere"],
        "problems": ["/problems?state=resolved&limit=50", "/patterns?limit=50"],
        "notifications": ["/notifications?limit=50", "/targets", "/routes", "/deliveries?limit=50"],
        "configuration": ["/config?limit=500", "/config/diagnostics", "/config/files"],
        "access": ["/users", "/tokens", "/sessions"],
        "audit": ["/audit?limit=100", "/audit/verdict"],
    }


def key(name):
    """What `after` is for the rows behind a name."""
    return base64.urlsafe_b64encode(json.dumps(name).encode()).decode().rstrip("=")


def main():
    work = tempfile.mkdtemp(prefix="keepfast-api.", dir=os.environ.get("BENCH_WORK", "/dev/shm"))
    server = None
    try:
        server = Server(prepare(work))
        time.sleep(10)
        spent, begin = server.processor_s(), time.monotonic()
        time.sleep(IDLE_S)
        share = (server.processor_s() - spent) / (time.monotonic() - begin) * 100
        print(f"When no one asks for anything, for {IDLE_S} s: {share:.2f} % of a processor,", f"{server.memory_mib('VmRSS'):.0f} MiB.\n")
        server.ask("POST", "/session", {"user": "ann", "password": PASSWORD})
        print("| page | request | median ms | slowest ms |\n|---|---|--:|--:|")
        described = [
            re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path.removeprefix("/api/v1")))
            for path in server.get("/openapi.json")["paths"]
        ]
        short = {}
        for page, requests in pages(server, work).items():
            for request in requests:
                # A page may be there before what it asks for is.
                if not any(path.fullmatch(request.split("?")[0]) for path in described):
                    continue
                times = []
                for _ in range(TRIES):
                    begin = time.perf_counter()
                    server.ask("GET", request)
                    times.append((time.perf_counter() - begin) * 1000)
                shown = re.sub(r"[0-9a-f]{32,}", "…", request)
                shown = re.sub(r"after=[^&]+", "after=…", re.sub(r"path=[^&]+", "path=…", shown))
                print(f"| {page} | `{shown}` | {statistics.median(times):.1f} | {max(times):.1f} |", flush=True)
                short.setdefault(page, []).append((statistics.median(times), max(times), shown))
        print("\n| page | requests | the slowest | median ms | slowest ms |\n|---|--:|---|--:|--:|")
        for page, measured in short.items():
            median, slowest, shown = max(measured)
            print(f"| {page} | {len(measured)} | `{shown}` | {median:.1f} | {slowest:.1f} |")
        print(f"\nMemory of the server after that: {server.memory_mib('VmRSS'):.0f} MiB, {server.memory_mib('VmHWM'):.0f} MiB at most.")
    finally:
        if server:
            server.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(30)
        shutil.rmtree(work)


main()

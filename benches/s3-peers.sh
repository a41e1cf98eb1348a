#!/bin/bash
# Measures programs side by side on an S3 server: s3-peers.sh RUNS FIRST SECOND [VERSION...]
#
# Starts SeaweedFS (which `make setup` installs) with an empty bucket, and counts the requests that it gets.
# In turns, each program makes a repository, backs up a folder that becomes each of the directories, restores the
# last one after the first and after the second backup, forgets all but the last two and prunes, and reads all
# data. Restores go to $BENCH_RESTORE, best a folder in memory, and are compared. PROGRAMS="keepfast restic"
# measures only these.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/programs.sh"
runs=$1
shift
work=${BENCH_WORK:-/var/tmp/keepfast-s3}
restored=${BENCH_RESTORE:-/dev/shm/keepfast-s3-restored}
export AWS_ACCESS_KEY_ID=bench AWS_SECRET_ACCESS_KEY=benchsecret AWS_REGION=us-east-1
export bucket=bench endpoint=http://127.0.0.1:8533 home prefix
filer=http://127.0.0.1:8898
live=$work/live
metrics=http://127.0.0.1:9533/metrics
weed=${XDG_CACHE_HOME:-$HOME/.cache}/keepfast/servers/python/bin/weed

rm -rf "$work"
mkdir -p "$work/data"
cat >"$work/s3.json" <<J
{"identities":[{"name":"bench","credentials":[{"accessKey":"bench","secretKey":"benchsecret"}],
 "actions":["Admin","Read","Write","List","Tagging"]}]}
J
"$weed" server -dir="$work/data" -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.port=9633 -master.peers=none \
  -volume.port=8380 -volume.max=100 -master.volumeSizeLimitMB=1024 -filer.port=8898 \
  -s3 -s3.port=8533 -s3.config="$work/s3.json" -metricsPort=9533 >"$work/log" 2>&1 &
server=$!
trap 'kill -KILL $server; wait $server 2>/dev/null; rm -rf "$work" "$restored"' EXIT
for _ in $(seq 60); do
  curl -sf -o /dev/null "$filer/" && curl -s -o /dev/null "$endpoint/" && break
  sleep 0.5
done
sleep 2
curl -sf -X POST "$filer/buckets/$bucket/" >/dev/null

requests() { curl -s "$metrics" | awk '/^SeaweedFS_s3_request_total/ {n += $NF} END {print n + 0}'; }
stored() { du -sm "$work/data" | cut -f1; }

measure() { # PHASE FUNCTION ARGUMENT...: of $program, in $run
  local phase=$1 before
  shift
  before=$(requests)
  /usr/bin/time -o "$work/time" -f '%e s wall, %U + %S s processor' "$0" --call "$@" >/dev/null
  echo "$program $("${program}_version"), run $run, $phase: $(cat "$work/time"), $(($(requests) - before)) requests"
}

restore() { # PHASE NUMBER
  rm -rf "$restored"
  mkdir -p "$restored"
  measure "$1" "${program}_restore" "$restored" "$2"
  local found
  found=$(find "$restored" -type d -path "*$live" -print -quit)
  [ -z "$(rsync -rlcni --delete "$live/" "${found:-$restored}/" | head -n 1)" ] || echo "$program: $1 differs" >&2
  rm -rf "$restored"
}

mapfile -t programs < <(installed ${PROGRAMS:-keepfast restic rustic})
each() {
  for program in "${programs[@]}"; do
    home=$work/run-$run/$program
    prefix=$program-$run
    "$@"
  done
}
begin() { mkdir -p "$home" && "${program}_init" >/dev/null; }
back_up() { measure "backup $number" "${program}_backup" "$live" "$number"; }
prune() { measure prune "${program}_prune" 2; }
check() { measure check "${program}_check" 2; }
for run in $(seq "$runs"); do
  each begin
  number=0
  for version in "$@"; do
    number=$((number + 1))
    become "$version"
    each back_up
    [ $number -gt 2 ] || each restore "restore of $number" "$number"
  done
  [ $number -lt 3 ] || each prune
  each check
done
echo "$(stored) MiB in the server's folder"

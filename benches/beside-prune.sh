#!/bin/bash
# Whether a backup waits for a prune: beside-prune.sh RUNS [DEAD_GB]
#
# Makes a repository with 4 GiB of data of which every second file is then forgotten, and DEAD_GB (96) of
# packs that a run has left behind without listing them; these are files with holes, so that a small disk will
# do. Then a GiB of new data is backed up RUNS times, alone and while a prune works on all of that, in turns.
# The prune is run with $PRUNE_OPTIONS (--nice). With $STOPPED=yes it is stopped as long as the backup runs: what
# the backup takes longer then than alone isn't the prune's doing, but the disk's.
set -euo pipefail
runs=$1
dead_gb=${2:-96}
work=${BENCH_WORK:-/var/tmp/keepfast-beside-prune}
export PATH=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/keepfast/target}/release:$PATH
export KEEPFAST_PASSWORD=bench
rm -rf "$work"
mkdir -p "$work/data"
trap 'rm -rf "$work"' EXIT

noise() { # BYTES SEED: different for each seed, and nothing in it repeats
  # It is cut off in the middle, and says so.
  openssl enc -aes-128-ctr -nosalt -K "$(printf %032x "$2")" -iv 0 </dev/zero 2>/dev/null | head -c "$1" || true
}

export KEEPFAST_REPOSITORY=$work/whole KEEPFAST_CACHE_DIR=$work/whole-cache
keepfast --quiet init
for n in $(seq 1024); do noise 4M "$n" >"$work/data/$n"; done
keepfast --quiet backup "$work/data"
for n in $(seq 2 2 1024); do rm "$work/data/$n"; done
keepfast --quiet backup "$work/data"
keepfast --quiet forget --group-by= --keep-last 1
rm -rf "$work/data"
# A name that a pack of the first run could have.
session=$(find "$work/whole/packs" -type f -print -quit | sed 's/.*\.//')
for n in $(seq $((dead_gb * 1000 / 32))); do
  id=$(printf '%s' "$n" | sha256sum | cut -c1-64)
  mkdir -p "$work/whole/packs/${id:0:2}"
  truncate -s 32M "$work/whole/packs/${id:0:2}/$id.$session"
done
keepfast prune --dry-run

mkdir "$work/new"
back_up() { # NAME
  noise 1G $((10000 + number)) >"$work/new/file"
  sync
  /usr/bin/time -o "$work/time" -f "%e s wall, %U + %S s processor" keepfast --quiet backup "$work/new"
  echo "run $run, $1: $(cat "$work/time")"
  number=$((number + 1))
}
number=0
for run in $(seq "$runs"); do
  back_up alone
  # Every prune has the same to do: it works on the same packs under other names.
  rm -rf "$work/pruned" "$work/pruned-cache"
  cp -a --reflink=auto --sparse=always "$work/whole" "$work/pruned"
  cp -a "$work/whole-cache" "$work/pruned-cache"
  sync
  export KEEPFAST_REPOSITORY=$work/pruned KEEPFAST_CACHE_DIR=$work/pruned-cache
  keepfast prune ${PRUNE_OPTIONS---nice} >"$work/prune-log" 2>&1 &
  prune=$!
  sleep 2
  if [ "${STOPPED:-no}" = yes ]; then
    kill -STOP $prune
    back_up "beside a stopped prune" || { kill -KILL $prune; exit 1; }
    kill -CONT $prune
  else
    back_up "beside a prune"
  fi
  kill -0 $prune 2>/dev/null && echo "run $run: the prune was still going on"
  wait $prune
  tail -n 3 "$work/prune-log"
  export KEEPFAST_REPOSITORY=$work/whole KEEPFAST_CACHE_DIR=$work/whole-cache
done

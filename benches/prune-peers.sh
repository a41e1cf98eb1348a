#!/bin/bash
# Measures pruning side by side: prune-peers.sh RUNS VERSION...
#
# keepfast and restic, if it is installed, back up each VERSION (a directory), forget all but the last
# two snapshots, and prune a fresh copy of that repository RUNS times, in turns.
set -euo pipefail
runs=$1
shift
work=${BENCH_WORK:-/var/tmp/keepfast-prune}
export PATH=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/keepfast/target}/release:$PATH
export KEEPFAST_PASSWORD=bench RESTIC_PASSWORD=bench
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT

keepfast_() { keepfast -r "$1/keepfast" --cache-dir "$1/keepfast-cache" "${@:2}"; }
restic_() { restic --quiet -r "$1/restic" --cache-dir "$1/restic-cache" "${@:2}"; }
programs=(keepfast)
if command -v restic > /dev/null; then programs+=(restic); fi

for program in "${programs[@]}"; do "${program}_" "$work/whole" init > /dev/null; done
for version in "$@"; do
    for program in "${programs[@]}"; do "${program}_" "$work/whole" backup "$version" > /dev/null; done
done
keepfast_ "$work/whole" forget --quiet --group-by= --keep-last 2
if [ ${#programs[@]} = 2 ]; then restic_ "$work/whole" forget --group-by= --keep-last 2 > /dev/null; fi

for run in $(seq "$runs"); do
    for program in "${programs[@]}"; do
        rm -rf "$work/copy"
        cp -a "$work/whole" "$work/copy"
        sync
        before=$(du -sm "$work/copy/$program" | cut -f1)
        begun=${EPOCHREALTIME/./}
        "${program}_" "$work/copy" prune > /dev/null
        ended=${EPOCHREALTIME/./}
        after=$(du -sm "$work/copy/$program" | cut -f1)
        printf '%s\trun %s\t%s ms\t%s -> %s MiB\n' "$program" "$run" \
            "$(((ended - begun) / 1000))" "$before" "$after"
    done
done
keepfast_ "$work/copy" check --read-data | tail -n 1

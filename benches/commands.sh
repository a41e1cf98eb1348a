#!/bin/bash
# Times the commands that look at a server's state, on one with 100,000 runs and 50,000 snapshots: commands.sh [TRIES].
# Says for each the fastest and the slowest of TRIES (default 10), in milliseconds.
set -euo pipefail
tries=${1:-10}
work=$(mktemp -d "${BENCH_WORK:-/var/tmp}/keepfast-years.XXXXXX")
trap 'rm -rf "$work"' EXIT
export PATH=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/keepfast/target}/release:$PATH

"$(dirname "$0")/state-of-years.py" "$work/years"

measure() {
  for _ in $(seq "$tries"); do
    local begun=$EPOCHREALTIME
    # That a plan is overdue is no failure here.
    keepfast --config "$work/years/keepfast.toml" "$@" >/dev/null || [ $? = 3 ]
    echo $(((${EPOCHREALTIME/./} - ${begun/./}) / 1000))
  done | sort -n | sed -n '1h;$ {x;G;s/\n/ to /;p}' | sed "s/$/ ms\t$*/"
}
measure status
measure status --json
measure schedule list
measure runs list
measure runs list --plan plan-7 -n 500
measure runs list --verdict failed -n 500
measure runs show 000000000000000000000000000186a0
measure metrics

#!/bin/bash
# Measures backup programs side by side: run-peers.sh DIRECTORY RUNS PROGRAM...
#
# Every program backs up DIRECTORY, again unchanged, again after a copy of it was changed in places,
# restores and checks. Programs take turns within each run, so that a noisy minute hits all of them;
# those that aren't installed are left out. One line with tabs for each measured call, on standard
# output and in $RESULTS; summarize.py makes tables of them.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
work=${BENCH_WORK:-/var/tmp/keepfast-peers}
results=${RESULTS:-$work/results.tsv}
. "$here/programs.sh"

# ---- measuring

[ $# -ge 3 ] || { echo "usage: $0 DIRECTORY RUNS PROGRAM..." >&2; exit 2; }
source=$(readlink -f "$1") runs=$2
shift 2

programs=()
for program in "$@"; do
  if command -v "$program" >/dev/null; then programs+=("$program"); else echo "$program isn't installed" >&2; fi
done
[ ${#programs[@]} -gt 0 ] || exit 1

mkdir -p "$work"
header=$'program\tversion\tcorpus\tphase\twall_s\tcpu_s\trss_mib\trepository_mib\trun\texit'
[ -s "$results" ] || printf '%s\n' "$header" >"$results"

# Equally warm for all: the page cache has the source before every call.
warm() { find "$1" -type f -print0 | xargs -0 -r cat >/dev/null 2>&1 || true; sync; }

measure() { # PHASE FUNCTION ARGUMENT...: of $program, in $run
  local phase=$1 code=0
  shift
  warm "$live"
  /usr/bin/time --quiet --output "$home/time" --format '%e %U %S %M' "$0" --call "$@" >>"$home/log" 2>&1 || code=$?
  # What the program hasn't flushed by itself would otherwise slow the next one down.
  sync
  local size
  size=$(du -s --apparent-size -B1 "$home/repository" 2>/dev/null | cut -f1)
  awk -v OFS='\t' -v program="$program" -v version="$("${program}_version")" -v corpus="$(basename "$source")" \
    -v phase="$phase" -v size="${size:-0}" -v run="$run" -v code="$code" \
    '{ print program, version, corpus, phase, $1, $2 + $3, int($4 / 1024), sprintf("%.1f", size / 1048576), run, code }' \
    "$home/time" | tee -a "$results"
}

# A copy is changed, never the source: every hundredth file gets a line, and one folder another name.
live=$work/live/source
fresh_copy() { rm -rf "$work/live" && mkdir -p "$work/live" && cp -a "$source" "$live"; }
change() {
  # Less than a MiB: find rounds sizes up to the unit, so that -1M would be the empty ones.
  find "$live" -type f -size -2048 -print0 | sort -z | awk -v RS='\0' -v ORS='\0' 'NR % 100 == 0' |
    while IFS= read -r -d '' file; do echo "one more line" >>"$file"; done
  local folder
  folder=$(find "$live" -mindepth 1 -maxdepth 1 -type d | sort | head -n 1)
  [ -z "$folder" ] || mv "$folder" "$folder-renamed"
}

compare() { # what was restored, wherever below the target the program puts it
  local restored
  restored=$(find "$1" -type d -name source -print -quit)
  [ -n "$(ls -A "$live")" ] || return 0
  [ -n "$restored" ] || restored=$1
  [ -z "$(rsync -rlcni --delete "$live/" "$restored/" | head -n 1)" ] || echo "$program: the restored tree differs" >&2
}

export home
each() { for program in "${programs[@]}"; do home=$work/run-$run/$program; "$@"; done; }
begin() { rm -rf "$home" && mkdir -p "$home" && "$0" --call "${program}_init" >>"$home/log" 2>&1; }
back_up() { measure "$1" "${program}_backup" "$live" "$2"; }
restore() {
  mkdir -p "$home/restored"
  measure restore "${program}_restore" "$home/restored" 3
  compare "$home/restored"
  # The work folder may be memory, and the next program's restore wants some too.
  chmod -R u+w "$home/restored" 2>/dev/null || true
  rm -rf "$home/restored"
}
check() { measure check "${program}_check" 3; }

printf '%s\n' "$header"
for run in $(seq "$runs"); do
  fresh_copy
  each begin
  each back_up first 1
  each back_up unchanged 2
  change
  each back_up changed 3
  each restore
  each check
  chmod -R u+w "$work/run-$run" 2>/dev/null || true
  rm -rf "$work/run-$run" "$work/live"
done
echo "tables: $here/summarize.py $results" >&2

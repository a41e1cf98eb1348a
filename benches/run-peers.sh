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
export PATH=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/keepfast/target}/release:$PATH
export KEEPFAST_PASSWORD=bench RESTIC_PASSWORD=bench RUSTIC_PASSWORD=bench BORG_PASSPHRASE=bench

# ---- programs: NAME_version, then init, backup DIRECTORY NUMBER, restore TARGET NUMBER, check NUMBER.
# $home is a folder of the program's own in this run. NUMBER counts snapshots, for programs
# that must be told a name.

keepfast_() { KEEPFAST_REPOSITORY=$home/repository KEEPFAST_CACHE_DIR=$home/cache keepfast --quiet "$@"; }
keepfast_version() { keepfast --version | cut -d' ' -f2; }
keepfast_init() { keepfast_ init; }
keepfast_backup() { keepfast_ backup "$1"; }
keepfast_restore() { keepfast_ restore --snapshot latest --target "$1"; }
keepfast_check() { keepfast_ check --read-data; }

restic_() { RESTIC_REPOSITORY=$home/repository RESTIC_CACHE_DIR=$home/cache restic --quiet "$@"; }
restic_version() { restic version | cut -d' ' -f2; }
restic_init() { restic_ init; }
restic_backup() { restic_ backup "$1"; }
restic_restore() { restic_ restore latest --target "$1"; }
restic_check() { restic_ check --read-data; }

rustic_() { rustic --repository "$home/repository" --cache-dir "$home/cache" --log-level warn --no-progress "$@"; }
rustic_version() { rustic --version | cut -d' ' -f2; }
rustic_init() { rustic_ init; }
rustic_backup() { rustic_ backup "$1"; }
rustic_restore() { rustic_ restore latest "$1"; }
rustic_check() { rustic_ check --read-data; }

borg_() { BORG_REPO=$home/repository BORG_BASE_DIR=$home/cache borg "$@"; }
borg_version() { borg --version | cut -d' ' -f2; }
borg_init() { mkdir -p "$home/cache" && borg_ init --encryption repokey-blake2; }
borg_backup() { borg_ create --compression zstd,3 "::snapshot-$2" "$1"; }
borg_restore() { cd "$1" && borg_ extract "::snapshot-$2"; }
borg_check() { borg_ check --verify-data; }

bupstash_() {
  BUPSTASH_REPOSITORY=$home/repository BUPSTASH_KEY=$home/key BUPSTASH_QUERY_CACHE=$home/cache/query bupstash "$@"
}
bupstash_version() { bupstash version | sed 's/bupstash-//'; }
bupstash_init() { mkdir -p "$home/cache" && bupstash new-key -o "$home/key" && bupstash_ init; }
bupstash_backup() { bupstash_ put --quiet --send-log "$home/cache/log" "snapshot=$2" "$1"; }
bupstash_restore() { bupstash_ restore --quiet --ownership --into "$1" "snapshot=$2"; }
# It has no check: what comes nearest is to read every snapshot back.
bupstash_check() { for n in $(seq "$1"); do bupstash_ get --quiet "snapshot=$n" >/dev/null || return 1; done; }

# ---- measuring

# time(1) measures processes, so this script calls itself for the function in question.
if [ "${1:-}" = --call ]; then
  shift
  "$@"
  exit
fi
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
  find "$live" -type f -size -1M -print0 | sort -z | awk -v RS='\0' -v ORS='\0' 'NR % 100 == 0' |
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

#!/bin/bash
# Measures pruning side by side: prune-peers.sh RUNS VERSION...
#
# Each program that is installed backs up a directory that becomes each VERSION (another one) in turn; then, RUNS
# times, in turns, a fresh copy of its repository is told to forget all but the last two snapshots, and to free
# what they don't need.
# PROGRAMS="keepfast restic" measures only these.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/programs.sh"
runs=$1
shift
work=${BENCH_WORK:-/var/tmp/keepfast-prune}
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
mapfile -t programs < <(installed ${PROGRAMS:-keepfast restic rustic borg})
export home

live=$work/live
number=0
for version in "$@"; do
  number=$((number + 1))
  become "$version"
  for program in "${programs[@]}"; do
    home=$work/now/$program
    mkdir -p "$home"
    [ $number -gt 1 ] || "${program}_init" >/dev/null
    "${program}_backup" "$live" "$number" >/dev/null
  done
done
mv "$work/now" "$work/whole"

for run in $(seq "$runs"); do
  for program in "${programs[@]}"; do
    # Where it was made: programs remember where a repository is.
    rm -rf "$work/now"
    mkdir "$work/now"
    home=$work/now/$program
    cp -a "$work/whole/$program" "$home"
    sync
    before=$(du -sm "$home/repository" | cut -f1)
    /usr/bin/time -o "$work/time" -f '%e s wall, %U + %S s processor, %M KiB' \
      "$0" --call "${program}_prune" 2 >/dev/null
    after=$(du -sm "$home/repository" | cut -f1)
    echo "$program $("${program}_version"), run $run: $(cat "$work/time"), $before -> $after MiB"
  done
done
for program in "${programs[@]}"; do
  home=$work/whole/$program
  "${program}_prune" 2 >/dev/null && "${program}_check" 2 >/dev/null && echo "$program: checked after it"
done

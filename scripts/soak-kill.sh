#!/bin/bash
# Kills backups of a tree with SIGKILL at random moments, then lets one finish: the repository must
# check clean in every byte, and the restore must be identical.
# Usage: soak-kill.sh TREE [RUNS] [SECONDS_MAX]
set -euo pipefail
tree=$(realpath "${1:?usage: soak-kill.sh TREE [RUNS] [SECONDS_MAX]}")
runs=${2:-100}
seconds_max=${3:-5}
target=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/keepfast/target}
keepfast=$target/release/keepfast
[ -x "$keepfast" ] || { echo "soak-kill: no $keepfast: run make build" >&2; exit 1; }

work=$(mktemp -d "${TMPDIR:-/tmp}/keepfast-soak.XXXXXX")
trap 'chmod -R u+w "$work" 2>/dev/null || true; rm -rf "$work"' EXIT
export KEEPFAST_PASSWORD=soak KEEPFAST_CACHE_DIR=$work/cache KEEPFAST_REPOSITORY=$work/repository

# What has been stored makes the next backup shorter, until one finishes before it is killed:
# then the repository is checked, and a new one takes its place.
"$keepfast" init -q
killed=0 finished=0
while [ "$killed" -lt "$runs" ]; do
  "$keepfast" backup -q "$tree" &
  process=$!
  sleep "$(awk -v most="$seconds_max" -v random="$RANDOM" 'BEGIN { print most * random / 32768 }')"
  kill -9 "$process" 2>/dev/null || true
  code=0
  wait "$process" 2>/dev/null || code=$?
  case $code in
    137) killed=$((killed + 1)) ;;
    0)
      finished=$((finished + 1))
      "$keepfast" check --read-data >/dev/null
      rm -rf "$KEEPFAST_REPOSITORY" "$KEEPFAST_CACHE_DIR"
      "$keepfast" init -q
      ;;
    *) echo "soak-kill: a backup ended with $code" >&2; exit 1 ;;
  esac
done
echo "$killed backups were killed, $finished finished before"
"$keepfast" check --read-data
"$keepfast" backup "$tree"
"$keepfast" check --read-data
"$keepfast" restore -q --snapshot "latest:$tree" --target "$work/restored"
differences=$(rsync -aHAXn --delete --checksum -i "$tree/" "$work/restored/"
  rsync -aHAXn --delete --checksum -i "$work/restored/" "$tree/")
[ -z "$differences" ] || { printf 'the restore differs:\n%s\n' "$differences" >&2; exit 1; }
"$keepfast" stats
echo "the repository is clean and the restore identical"

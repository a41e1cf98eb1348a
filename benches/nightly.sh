#!/bin/bash
# Backs up a dump night after night, one row in a hundred changed each time, and restores the first
# and the last: nightly.sh DUMP NIGHTS. Shows what each backup stored, and what the restores took
# and read. Needs space for the dump twice, and for the repository, in $BENCH_WORK.
set -euo pipefail
dump=$1
nights=$2
work=${BENCH_WORK:-/var/tmp/keepfast-nightly}
export PATH=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/keepfast/target}/release:$PATH
export KEEPFAST_PASSWORD=bench KEEPFAST_REPOSITORY=$work/repository KEEPFAST_CACHE_DIR=$work/cache
mkdir -p "$work"
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work"' EXIT

stored() { du -s --apparent-size --block-size=1K "$KEEPFAST_REPOSITORY" | cut -f1; }

keepfast --quiet init
cp "$dump" "$work/dump.sql"
before=$(stored)
for night in $(seq "$nights"); do
  keepfast --quiet backup --stdin --stdin-name dump.sql --tag "night=$night" <"$work/dump.sql"
  now=$(stored)
  echo "night $night: $(((now - before) / 1024)) MiB new"
  before=$now
  [ "$night" = "$nights" ] && break
  age-dump "$night" <"$work/dump.sql" >"$work/next.sql"
  mv "$work/next.sql" "$work/dump.sql"
done

# What a program has read is in /proc/self/io of the shell that waited for it.
restore() {
  for _ in 1 2 3; do
    /usr/bin/time -f "restore of night $1: %e s, %U s user, %S s system, %M KiB" bash -c '
      keepfast --quiet dump latest --tag "night=$0" dump.sql >/dev/null
      awk "/rchar/ {printf \"%d MiB read; \", \$2 / 1048576}" /proc/self/io' "$1"
  done
  keepfast --quiet dump latest --tag "night=$1" dump.sql | cmp - "$2"
}
restore 1 "$dump"
restore "$nights" "$work/dump.sql"

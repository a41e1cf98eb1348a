#!/bin/bash
# Two builds of the program in turns: compare.sh BEFORE AFTER SOURCE [RUNS]. SOURCE is a directory, or a
# file that is backed up over standard input. For each phase the medians of wall and processor
# seconds and of peak memory of both, and the ratio of wall seconds. Each build works with a
# repository of its own, below $BENCH_WORK; restores go there too, so let it be in memory.
# PHASES="first check" measures only these.
set -euo pipefail
before=$(realpath "$1")
after=$(realpath "$2")
source=$(realpath "$3")
runs=${4:-3}
phases=${PHASES:-first unchanged restore check}
work=${BENCH_WORK:-/dev/shm/keepfast-compare}
export KEEPFAST_PASSWORD=bench
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT

# Page cache: the same for all.
warm() { find "$source" -type f -print0 | xargs -0 cat >/dev/null; }

timed() { # NAME PHASE PROGRAM ARGUMENTS...
  local name=$1 phase=$2
  shift 2
  /usr/bin/time -q -a -o "$work/times" -f "$name $phase %e %U %S %M" "$@"
}

backup() { # NAME PHASE PROGRAM
  if [ -d "$source" ]; then
    timed "$1" "$2" "$3" --quiet backup "$source"
  else
    timed "$1" "$2" "$3" --quiet backup --stdin --stdin-name dump <"$source"
  fi
}

phase() { # NAME PHASE PROGRAM
  export KEEPFAST_REPOSITORY=$work/$1/repository KEEPFAST_CACHE_DIR=$work/$1/cache
  case $2 in
    first)
      rm -rf "${work:?}/$1"
      mkdir "$work/$1"
      "$3" --quiet init
      backup "$@"
      ;;
    unchanged) backup "$@" ;;
    restore)
      rm -rf "$work/restored"
      if [ -d "$source" ]; then
        timed "$1" "$2" "$3" --quiet restore --snapshot "latest:$source" --target "$work/restored"
      else
        timed "$1" "$2" "$3" --quiet dump latest dump >"$work/restored"
      fi
      ;;
    check) timed "$1" "$2" "$3" --quiet check --read-data >"$work/said" ;;
    *) echo "no such phase: $2" >&2; exit 2 ;;
  esac
}

for what in $phases; do
  # There must be something to work with, if the first backup isn't measured.
  [ -d "$work/before" ] || [ "$what" = first ] || { phase before first "$before"; phase after first "$after"; }
  for _ in $(seq "$runs"); do
    case $what in first | unchanged) warm ;; esac
    phase before "$what" "$before"
    phase after "$what" "$after"
  done
done

median() { # NAME PHASE FIELDS
  awk -v name="$1" -v phase="$2" "\$1 == name && \$2 == phase { print $3 }" "$work/times" | sort -n |
    awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'
}

echo "| phase | before s | after s | before / after | CPU s | peak MiB |"
echo "|---|--:|--:|--:|--:|--:|"
for what in $phases; do
  old=$(median before "$what" '$3')
  new=$(median after "$what" '$3')
  cpu="$(median before "$what" '$4 + $5') → $(median after "$what" '$4 + $5')"
  peak="$(median before "$what" 'int($6 / 1024)') → $(median after "$what" 'int($6 / 1024)')"
  echo "| $what | $old | $new | $(awk "BEGIN { printf \"%.2f\", $old / ($new + 1e-9) }") | $cpu | $peak |"
done

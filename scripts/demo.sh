#!/bin/bash
# Backs up a real tree twice, restores it, compares every byte and attribute, checks the
# repository, and says what deduplication and compression saved. Leaves nothing behind. `demo.sh web` then starts a server
# with all of that, for a browser on this machine, until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/keepfast/target}

purpose=${1:-all}

step() { printf '\n== %s\n' "$*"; }

step "building (a first build takes some minutes)"
cargo build --release --package keepfast
keepfast=$CARGO_TARGET_DIR/release/keepfast

work=$(mktemp -d "${TMPDIR:-/tmp}/keepfast-demo.XXXXXX")
# Restored directories may be read-only.
trap 'chmod -R u+w "$work" 2>/dev/null || true; rm -rf "$work"' EXIT
export KEEPFAST_PASSWORD=demo KEEPFAST_CACHE_DIR=$work/cache
repository=$work/repository
target=$work/restored

trees=()
for tree in /usr/include /usr/share/doc; do
  [ -d "$tree" ] && [ ! -L "$tree" ] && trees+=("$tree")
done
[ ${#trees[@]} -gt 0 ] || trees=("$PWD/engine" "$PWD/repo-format")

step "keepfast init"
"$keepfast" init -r "$repository"

step "keepfast backup ${trees[*]}"
time "$keepfast" backup -r "$repository" "${trees[@]}"

step "the same again: nothing has changed"
time "$keepfast" backup -r "$repository" "${trees[@]}"

step "keepfast snapshots"
"$keepfast" snapshots -r "$repository"

step "keepfast restore"
mkdir "$target"
for number in "${!trees[@]}"; do
  time "$keepfast" restore -r "$repository" --snapshot "latest:${trees[$number]}" --target "$target/$number"
done

step "comparing both ways: bytes, modes, owners, times, links, extended attributes"
compare() {
  local differences
  differences=$(rsync -aHAXn --delete --checksum -i "$1/" "$2/")
  if [ -n "$differences" ]; then
    printf '%s and %s differ:\n%s\n' "$1" "$2" "$differences" >&2
    exit 1
  fi
}
for number in "${!trees[@]}"; do
  compare "${trees[$number]}" "$target/$number"
  compare "$target/$number" "${trees[$number]}"
  echo "${trees[$number]}: identical"
done

step "keepfast check --read-data"
"$keepfast" check -r "$repository" --read-data

step "what it took: the trees, and the repository with two snapshots of them"
du -sh --apparent-size "${trees[@]}"
"$keepfast" stats -r "$repository"

step "the same as a plan from a file: keepfast config check, run, status, schedule list"
export KEEPFAST_CONFIG=$work/keepfast.toml
mkdir "$work/restore" "$work/notes"
cat > "$KEEPFAST_CONFIG" <<CONFIG
version = 1

[server]
listen      = "127.0.0.1:0"
state       = { sqlite = "$work/state/state.db" }
definitions = "files+managed"
restore_to  = ["$work/restore"]

[repository.main]
url      = "$repository"
password = { env = "KEEPFAST_PASSWORD" }
cache    = "$work/cache"

[plan.demo]
repository = "main"
source     = [{ files = [$(printf '"%s", ' "${trees[@]}" | sed 's/, $//')] }]
schedule   = { cron = "30 1 * * *", deadline = "6h" }
retention  = { daily = 14, weekly = 8, monthly = 12, at_least = 3 }
CONFIG
cat "$KEEPFAST_CONFIG"
# There are warnings: no one hears of this plan, and nothing checks its repository.
"$keepfast" config check || [ $? = 3 ]
"$keepfast" run demo
"$keepfast" status
"$keepfast" schedule list demo

if [ "$purpose" = web ]; then
  step "a second plan, whose files change between its runs, and one that fails"
  cat >> "$KEEPFAST_CONFIG" <<CONFIG

[plan.notes]
repository  = "main"
description = "The project's own documents, which change between two runs"
source      = [{ files = ["$work/notes"] }]
schedule    = { cron = "15 * * * *" }
retention   = { hourly = 24, daily = 14, at_least = 3 }

[plan.mail]
repository  = "main"
description = "A plan whose files aren't there, to show what that looks like"
source      = [{ files = ["$work/mail"] }]
schedule    = { cron = "45 3 * * *" }
CONFIG
  cp -r docs README.md "$work/notes/"
  "$keepfast" run notes
  rm "$work/notes/docs/architecture.svg"
  cp LICENSE-* "$work/notes/"
  echo "A line that the second snapshot has." >> "$work/notes/README.md"
  "$keepfast" run notes
  "$keepfast" run mail || true

  step "keepfast serve: open the address below; Ctrl-C ends it, and removes all of this"
  "$keepfast" serve &
  server=$!
  trap 'kill "$server" 2>/dev/null || true' INT TERM
  while kill -0 "$server" 2>/dev/null; do wait "$server" || true; done
  exit 0
fi

cat <<NEXT

All is well. Where to look next:
  README.md                     a first repository of your own, restores, S3
  docs/plans.md                 plans from files, hooks, retention
  $keepfast help
NEXT

#!/bin/bash
# Backs up a real tree twice, restores it, compares every byte and attribute, checks the
# repository, and says what deduplication and compression saved. Leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/keepfast/target}

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
cat > "$KEEPFAST_CONFIG" <<CONFIG
version = 1

[server]
state = { sqlite = "$work/state/state.db" }

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

cat <<NEXT

All is well. Where to look next:
  README.md                     a first repository of your own, restores, S3
  docs/plans.md                 plans from files, hooks, retention
  $keepfast help
NEXT

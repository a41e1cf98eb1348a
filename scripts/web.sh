#!/bin/bash
# Builds the dashboard, so that the program has it inside: `web.sh`. `web.sh check` checks its types, `web.sh test` tests it
# in a browser, by itself and with the program that was built. Without a Node that is new enough, it says so, and the program shows a page that says so too.
set -euo pipefail
cd "$(dirname "$0")/../web"
verb=${1:-build}

wanted=20.19
found=$(node --version 2>/dev/null | sed 's/^v//' || true)
if [ -z "$found" ] || [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
  echo "web: left out: the dashboard needs Node $wanted, and here is ${found:-none}" >&2
  exit 0
fi

# npm writes this file when everything is there.
if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
  npm ci --no-audit --no-fund --loglevel=error >/dev/null
  touch node_modules/.package-lock.json
fi

# What was built is newer than everything that it is made from.
is_built() {
  local built=../server/ui/dist/index.html
  [ -e "$built.gz" ] && [ -z "$(find src public scripts index.html vite.config.ts package-lock.json -newer "$built" -print -quit)" ]
}
build() {
  is_built || npm run --silent build
}

case $verb in
build) build ;;
check) npm run --silent check ;;
test)
  build
  failed=0
  # The machine may be busy with other tests.
  export PATIENCE_MS=${PATIENCE_MS:-60000}
  timeout --kill-after=20 600 npm run --silent test || failed=1
  timeout --kill-after=20 600 npm run --silent test:real || failed=1
  [ $failed = 0 ] || echo "web: tests in the browser have failed: see above" >&2
  exit $failed
  ;;
*)
  echo "web: unknown: $verb" >&2
  exit 2
  ;;
esac

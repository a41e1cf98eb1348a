#!/bin/bash
# Fuzzes decoders with libFuzzer: fuzz.sh SECONDS TARGET... ("all" for every one).
# What makes a decoder panic is left in the folder that it names; make it a vector.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift

cache=${XDG_CACHE_HOME:-$HOME/.cache}/keepfast
# A target folder of its own: these flags would rebuild everything in the other one. Only the
# format's crate is built, so RocksDB isn't.
export CARGO_TARGET_DIR=$cache/fuzz-target
host=$(rustc -vV | sed -n 's/^host: //p')

# What cargo-fuzz does, without it and without a nightly compiler: RUSTC_BOOTSTRAP allows -Z.
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
flags+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
flags+=" -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Zsanitizer=address"
flags+=" -Ccodegen-units=1 -Cdebug-assertions"
RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags \
  cargo build --quiet --release --target "$host" -p keepfast-fuzz --bin decoders

fuzzer=$CARGO_TARGET_DIR/$host/release/decoders
targets=("$@")
if [ "${targets[*]}" = all ]; then
  mapfile -t targets < <(KEEPFAST_FUZZ_TARGET=list "$fuzzer")
fi
for target in "${targets[@]}"; do
  corpus=$cache/fuzz-corpus/$target found=$cache/fuzz-found/$target
  mkdir -p "$corpus" "$found"
  echo "== $target, $seconds s"
  KEEPFAST_FUZZ_TARGET=$target KEEPFAST_FUZZ_CORPUS=$corpus \
    "$fuzzer" "$corpus" -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=2048 -timeout=10 \
    -artifact_prefix="$found/" -print_final_stats=1 2>&1 | tail -n 12
done

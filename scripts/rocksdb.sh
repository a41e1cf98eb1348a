#!/bin/bash
# Compiles RocksDB: the sources that the crate `librocksdb-sys` brings, with the options of its build script, in a few
# large units instead of 343 small ones. Most of the work would be reading the same headers, so this takes half the time.
# The library is kept outside of cargo's target folder: it is compiled once for a machine, and all builds link it.
# Does nothing when it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

# Cargo looks for the library in .rocksdb/NAME (.cargo/config.toml). NAME is RocksDB's version and our revision, which
# changes whenever this script compiles something else.
name=$(sed -n 's|^ROCKSDB_LIB_DIR.*"\.rocksdb/\([^"]*\)".*|\1|p' .cargo/config.toml)
version=${name%-*}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/keepfast/rocksdb
mkdir -p "$cache"
ln -sfn "$cache" .rocksdb
[ ! -e "$cache/$name/librocksdb.a" ] || exit 0

host=$(rustc -vV | sed -n 's/^host: //p')
manifest=$(cargo metadata --quiet --locked --format-version 1 --filter-platform "$host" |
  grep -oE '"[^"]*/librocksdb-sys-[^"/]*/Cargo\.toml"' | head -n 1 | tr -d '"')
crate=$(dirname "$manifest")
case $crate in
  *"+$version") ;;
  *) echo "rocksdb: .cargo/config.toml wants RocksDB $version, and cargo has ${crate##*/}" >&2; exit 1 ;;
esac

work=$(mktemp -d "$cache/building.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$crate"
echo "rocksdb: compiling RocksDB $version" >&2

# Neighbours in the list are neighbours in the source tree, and share headers. The units are as many as keep a few
# processors busy, and about equal.
units=8
grep -v '^util/build_version\.cc' rocksdb_lib_sources.txt |
  while read -r source; do echo "$(stat -c %s "rocksdb/$source") rocksdb/$source"; done |
  awk -v units="$units" -v work="$work" '
    { size[NR] = $1; name[NR] = $2; total += $1 }
    END {
      for (number = 1; number <= NR; number++) {
        unit = int(done * units / total)
        print "#include \"" name[number] "\"" > (work "/unit-" unit ".cc")
        done += size[number]
      }
    }'
cp build_version.cc "$work/unit-version.cc"

options=(-std=c++20 -O3 -fPIC -ffunction-sections -fdata-sections -w -include cstdint
  -I rocksdb/include -I rocksdb -I .
  -DNDEBUG=1 -DHAVE_ALIGNED_NEW -DHAVE_UINT128_EXTENSION -DOS_LINUX -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX
  -DROCKSDB_SCHED_GETCPU_PRESENT -DROCKSDB_AUXV_GETAUXVAL_PRESENT -DROCKSDB_FALLOCATE_PRESENT
  -DROCKSDB_RANGESYNC_PRESENT)
printf '%s\0' "$work"/unit-*.cc |
  xargs -0 -P "$(nproc)" -I UNIT clang++ "${options[@]}" -c UNIT -o UNIT.o
ar crs "$work/librocksdb.a" "$work"/unit-*.o
rm "$work"/unit-*

# Another run may have been faster.
chmod 755 "$work"
mv -T "$work" "$cache/$name" 2>/dev/null || [ -e "$cache/$name/librocksdb.a" ]

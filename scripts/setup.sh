#!/bin/bash
# Installs what a fresh Debian 12 lacks to build and demonstrate keepfast (`setup.sh program`), or also to test and
# develop it (`setup.sh`). Says and does nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-all}

missing=()
# need PACKAGE PROBE...: the package is missing if the probe fails. Probes look for the thing
# itself and not for the package, so that one installed in another way counts.
need() {
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
command_there() { command -v "$1"; }
postgres_there() { compgen -G '/usr/lib/postgresql/*/bin/initdb' && id postgres; }
faketime_there() { compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1'; }
proxy_there() { PATH=$PATH:/usr/sbin command -v haproxy; }
libclang_there() { compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' || compgen -G '/usr/lib/*/libclang*.so*'; }

# To build the program, and for the demo.
need clang            command_there clang          # compiles RocksDB and zstd (see .cargo/config.toml)
need libclang-dev     libclang_there               # RocksDB's bindings are made from its headers
need build-essential  command_there g++            # the C++ standard library, the linker, make
need pkg-config       command_there pkg-config     # build scripts ask it for libraries
need rsync            command_there rsync          # the demo compares trees with it
need ca-certificates  test -s /etc/ssl/certs/ca-certificates.crt # cargo fetches over TLS

# To test, to measure, to develop.
if [ "$purpose" = all ]; then
  need attr             command_there getfattr       # extended attributes in tests, made from outside
  need acl              command_there setfacl        # POSIX ACLs in tests, made from outside
  need ntfs-3g          command_there lowntfs-3g     # a file system that ignores case, to restore into
  need fuse3            command_there fusermount3  # a file system that lacks much, served by a test
  need e2fsprogs        test -x /sbin/mkfs.ext4      # a small ext4 to test with
  need strace           command_there strace         # system calls that fail when a test wants them to
  need xz-utils         command_there xz             # packed test and benchmark data
  need time             test -x /usr/bin/time        # peak memory in benches/run-peers.sh
  need git              command_there git            # fetches the project
  need python3-venv     python3 -c 'import ensurepip, venv' # servers to test against
  need nodejs           command_there node           # another one, to be refused
  need npm              command_there npm            # which installs it
  need chromium         command_there chromium       # the dashboard is tested in it
  need postgresql       postgres_there               # the server's state, with several servers
  need mariadb-server   command_there mariadb-install-db # a database to back up
  need mariadb-backup   command_there mariadb-backup # its files while it runs
  need redis-server     command_there redis-server   # a database to back up
  need haproxy          proxy_there                  # in front of two servers
  need libfaketime      faketime_there               # clocks of servers that jump by a year
  need util-linux       command_there setpriv        # no server outlives its test
  need libsecret-tools  command_there secret-tool    # reads the desktop's keyring
  need gnome-keyring    command_there gnome-keyring-daemon # a keyring, to be read
  need dbus-daemon      command_there dbus-run-session # through which it is read
  need systemd          command_there systemd-analyze # reads the units that are written for it
fi

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
if [ ${#missing[@]} -gt 0 ]; then
  if [ ${#as_root[@]} -gt 0 ]; then
    command -v sudo >/dev/null || { echo "setup: as root, install: ${missing[*]}" >&2; exit 1; }
  fi
  echo "setup: installing ${missing[*]}" >&2
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

rust_wanted=1.95
how_to_get_rust="install it with rustup (https://rustup.rs), then: rustup toolchain install stable"
if ! command -v cargo >/dev/null; then
  echo "setup: Rust is missing: $how_to_get_rust" >&2
  exit 1
fi
rust_found=$(rustc --version | cut -d' ' -f2)
if [ "$(printf '%s\n' "$rust_wanted" "${rust_found%%-*}" | sort -V | head -n 1)" != "$rust_wanted" ]; then
  echo "setup: Rust $rust_found is too old, $rust_wanted is needed: rustup update stable" >&2
  exit 1
fi
scripts/rocksdb.sh

[ "$purpose" = all ] || exit 0

for component in fmt clippy; do
  cargo $component --version >/dev/null 2>&1 || {
    echo "setup: cargo $component is missing: rustup component add rustfmt clippy" >&2
    exit 1
  }
done

if ! cargo nextest --version >/dev/null 2>&1; then
  echo "setup: installing cargo-nextest" >&2
  # In a target folder of its own: the workspace's is for one profile and feature set.
  env -u CARGO_TARGET_DIR cargo install --quiet cargo-nextest --locked
fi

# The servers that tests start. A note beside them says which versions they are.
servers=${XDG_CACHE_HOME:-$HOME/.cache}/keepfast/servers
wanted_npm=s3rver@3.7.1
# python_of FOLDER LIST WHAT: packages of Python, with all that they need, in a folder of their own.
python_of() {
  if cmp -s "$2" "$servers/$1/installed.txt"; then
    return
  fi
  echo "setup: installing $3 for tests" >&2
  rm -rf "${servers:?}/$1"
  python3 -m venv "$servers/$1"
  "$servers/$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2"
  cp "$2" "$servers/$1/installed.txt"
}
python_of python scripts/servers.txt servers
python_of databases scripts/databases.txt databases
python_of schemathesis scripts/schemathesis.txt schemathesis
# Of Debian's package only the tool that reads metrics and alerts: the whole one brings, and starts, a server.
if [ ! -x "$servers/prometheus/promtool" ]; then
  echo "setup: unpacking promtool for tests" >&2
  apt-cache show prometheus >/dev/null 2>&1 || "${as_root[@]}" apt-get update -qq
  rm -rf "$servers/prometheus.part"
  mkdir -p "$servers/prometheus.part"
  (
    cd "$servers/prometheus.part"
    apt-get -o APT::Sandbox::User=root download -qq prometheus >/dev/null
    dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components=3 ./usr/bin/promtool
    rm prometheus_*.deb
  )
  rm -rf "$servers/prometheus"
  mv "$servers/prometheus.part" "$servers/prometheus"
fi
if [ "$(cat "$servers/npm/installed.txt" 2>/dev/null)" != "$wanted_npm" ]; then
  echo "setup: installing $wanted_npm for tests" >&2
  rm -rf "$servers/npm"
  npm install --silent --no-audit --no-fund --no-save --no-package-lock --ignore-scripts \
    --prefix "$servers/npm" "$wanted_npm"
  echo "$wanted_npm" > "$servers/npm/installed.txt"
fi

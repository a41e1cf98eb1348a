# The backup programs that are measured, each by the same functions; for other scripts to source.
#
# NAME_version, then NAME_init, NAME_backup DIRECTORY NUMBER, NAME_restore TARGET NUMBER, NAME_check NUMBER,
# NAME_prune KEEP (forgets all but the newest KEEP snapshots, and frees what they alone needed). $home is a
# folder of the program's own. The repository is in it, unless $bucket is set: then it is there, under
# $prefix, at the S3 endpoint $endpoint (not for borg and bupstash, and bupstash has no prune here). NUMBER
# counts snapshots, for programs that must be told a name.
# shellcheck shell=bash
export PATH=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/keepfast/target}/release:$PATH
export KEEPFAST_PASSWORD=bench RESTIC_PASSWORD=bench RUSTIC_PASSWORD=bench BORG_PASSPHRASE=bench
# Each run has a fresh copy of a repository: borg would ask whether that is meant.
export BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
bucket=${bucket:-}

keepfast_() {
  local repository=$home/repository
  if [ -n "$bucket" ]; then
    repository=s3://$bucket/$prefix
    export AWS_ENDPOINT_URL=$endpoint
  fi
  KEEPFAST_REPOSITORY=$repository KEEPFAST_CACHE_DIR=$home/cache keepfast --quiet "$@"
}
keepfast_version() { keepfast --version | cut -d' ' -f2; }
keepfast_init() { keepfast_ init; }
keepfast_backup() { keepfast_ backup "$1"; }
keepfast_restore() { keepfast_ restore --snapshot latest --target "$1"; }
keepfast_check() { keepfast_ check --read-data; }
keepfast_prune() { keepfast_ forget --group-by= --keep-last "$1" --prune; }

restic_() {
  local repository=$home/repository
  [ -z "$bucket" ] || repository=s3:$endpoint/$bucket/$prefix
  RESTIC_REPOSITORY=$repository RESTIC_CACHE_DIR=$home/cache restic --quiet "$@"
}
restic_version() { restic version | cut -d' ' -f2; }
restic_init() { restic_ init; }
restic_backup() { restic_ backup "$1"; }
restic_restore() { restic_ restore latest --target "$1"; }
restic_check() { restic_ check --read-data; }
restic_prune() { restic_ forget --group-by= --keep-last "$1" --prune; }

# It takes the options of a store from a file only.
rustic_() {
  mkdir -p "$home"
  {
    echo '[repository]'
    echo "cache-dir = \"$home/cache\""
    if [ -z "$bucket" ]; then
      echo "repository = \"$home/repository\""
    else
      echo 'repository = "opendal:s3"'
      echo '[repository.options]'
      echo "bucket = \"$bucket\""
      echo "root = \"/$prefix\""
      echo "endpoint = \"$endpoint\""
      echo "region = \"$AWS_REGION\""
      echo "access_key_id = \"$AWS_ACCESS_KEY_ID\""
      echo "secret_access_key = \"$AWS_SECRET_ACCESS_KEY\""
    fi
  } > "$home/profile.toml"
  rustic --use-profile "$home/profile" --log-level warn --no-progress "$@"
}
rustic_version() { rustic --version | cut -d' ' -f2; }
rustic_init() { rustic_ init; }
rustic_backup() { rustic_ backup "$1"; }
rustic_restore() { rustic_ restore latest "$1"; }
rustic_check() { rustic_ check --read-data; }
# Otherwise packs would be removed by another run, a day later.
rustic_prune() { rustic_ forget --group-by= --keep-last "$1" --prune --instant-delete; }

borg_() { BORG_REPO=$home/repository BORG_BASE_DIR=$home/cache borg "$@"; }
borg_version() { borg --version | cut -d' ' -f2; }
borg_init() { mkdir -p "$home/cache" && borg_ init --encryption repokey-blake2; }
borg_backup() { borg_ create --compression zstd,3 "::snapshot-$2" "$1"; }
borg_restore() { cd "$1" && borg_ extract "::snapshot-$2"; }
borg_check() { borg_ check --verify-data; }
borg_prune() { borg_ prune --keep-last "$1" && borg_ compact; }

bupstash_() {
  BUPSTASH_REPOSITORY=$home/repository BUPSTASH_KEY=$home/key BUPSTASH_QUERY_CACHE=$home/cache/query bupstash "$@"
}
bupstash_version() { bupstash version | sed 's/bupstash-//'; }
bupstash_init() { mkdir -p "$home/cache" && bupstash new-key -o "$home/key" && bupstash_ init; }
bupstash_backup() { bupstash_ put --quiet --send-log "$home/cache/log" "snapshot=$2" "$1"; }
bupstash_restore() { bupstash_ restore --quiet --ownership --into "$1" "snapshot=$2"; }
# It has no check: what comes nearest is to read every snapshot back.
bupstash_check() { for n in $(seq "$1"); do bupstash_ get --quiet "snapshot=$n" >/dev/null || return 1; done; }

# Makes the folder $live hold what another holds, as an update of it would.
become() { mkdir -p "$live" && rsync -a --delete "$1/" "$live/"; }

# Which of these programs there are; names those that aren't.
installed() {
  local program
  for program in "$@"; do
    if command -v "$program" >/dev/null; then echo "$program"; else echo "$program isn't installed" >&2; fi
  done
}

# time(1) measures processes: `"$0" --call FUNCTION ARGUMENT...` is one that does nothing else.
if [ "${1:-}" = --call ]; then
  shift
  "$@"
  exit
fi

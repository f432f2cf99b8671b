# shellcheck shell=bash disable=SC2034
# Options that all scripts share, and how they do things: said first, or only said.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
dry_run=false

for option in "$@"; do
  case $option in
    --dry-run) dry_run=true ;;
    --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --yes) ;; # down.sh's
    *) echo "$(basename "$0"): unknown option, got $option; see --help." >&2; exit 2 ;;
  esac
done
# shellcheck source=settings.sh
. "$here/settings.sh"

need() {
  $dry_run && return
  for program in "$@"; do
    command -v "$program" >/dev/null || { echo "$program: is needed, and not on PATH; install it." >&2; exit 1; }
  done
}

# Prints a command, and runs it unless this is a dry run.
run() {
  printf '+' >&2
  printf ' %q' "$@" >&2
  printf '\n' >&2
  $dry_run || "$@"
}

# Whether something is there already. In a dry run nothing is, so that every command is shown.
there() {
  $dry_run && return 1
  "$@" >/dev/null 2>&1
}

subscription() {
  if $dry_run; then echo SUBSCRIPTION; else az account show --query id --output tsv; fi
}

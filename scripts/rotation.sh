#!/usr/bin/env bash
# The rotation of a root without an outage, rehearsed: at every step it is shown
# who takes whose certificate.
#
#   rotation.sh [DIR]        default: a temporary directory
#
# PROXY is the binary to use, by default "proxy" from the PATH.
set -euo pipefail

proxy=${PROXY:-proxy}
command -v "$proxy" >/dev/null || { echo "$0: no $proxy here; set PROXY to the binary" >&2; exit 69; }
dir=${1:-}
if [ -z "$dir" ]; then
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
fi
mkdir -p "$dir"

# expect yes|no SERVER TRUST: does one who trusts TRUST take SERVER?
expect() {
  local got=no
  if "$proxy" cert verify "$dir/pki/$2.pem" --ca "$dir/pki/$3.pem" --as server --host localhost >/dev/null; then got=yes; fi
  printf '  %-12s before %-10s %s\n' "$2" "$3" "$got"
  [ "$got" = "$1" ] || { echo "$0: $2 before $3: $got, expected $1" >&2; exit 1; }
}

echo "1. the old root alone"
cat >"$dir/pki.yaml" <<'YAML'
authorities:
  old: {name: Root 1, life: 90d}
certificates:
  server-old: {issuer: old, for: server, sans: [localhost]}
YAML
"$proxy" ca apply "$dir/pki.yaml" --dir "$dir/pki" >/dev/null
expect yes server-old old

echo "2. a new root, signed by the old one too; give trust.pem to everybody"
cat >"$dir/pki.yaml" <<'YAML'
authorities:
  old: {name: Root 1, life: 90d}
  new: {name: Root 2, life: 2y, cross_signed_by: old}
certificates:
  server-old: {issuer: old, for: server, sans: [localhost]}
  server-new: {issuer: new, for: server, sans: [localhost], cross: true}
bundles:
  trust: [old, new]
YAML
before=$(cat "$dir/pki/server-old.pem")
"$proxy" ca apply "$dir/pki.yaml" --dir "$dir/pki" >/dev/null
[ "$before" = "$(cat "$dir/pki/server-old.pem")" ] || { echo "$0: the old certificate was touched" >&2; exit 1; }
expect yes server-old trust
expect yes server-new trust
expect yes server-new old        # by the bridge: the laggards are served too
expect no server-old new         # so the certificates go before the old root

echo "3. the old root goes"
cat >"$dir/pki.yaml" <<'YAML'
authorities:
  new: {name: Root 2, life: 2y}
certificates:
  server-new: {issuer: new, for: server, sans: [localhost]}
YAML
"$proxy" ca apply "$dir/pki.yaml" --dir "$dir/pki" >/dev/null
expect yes server-new new
expect no server-new old         # the bridge is gone
echo "rotated"

#!/usr/bin/env bash
# A revocation, rehearsed: mallory gets in, is revoked, and does not get in any
# more, while alice does.
#
#   revocation-drill.sh [DIR]        default: a temporary directory
#
# It needs openssl. PROXY is the binary to use, by default "proxy" from the PATH.
set -euo pipefail

proxy=${PROXY:-proxy}
command -v "$proxy" >/dev/null || { echo "$0: no $proxy here; set PROXY to the binary" >&2; exit 69; }
command -v openssl >/dev/null || { echo "$0: openssl is not installed" >&2; exit 69; }
dir=${1:-}
if [ -z "$dir" ]; then
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
fi
mkdir -p "$dir"

# apply REVOKED: the PKI with a revocation list of these
apply() {
  cat >"$dir/pki.yaml" <<YAML
authorities:
  root: {name: Drill Root}
  issuing: {issuer: root, name: Drill Issuing, path_len: 0, crl: {life: 7d, revoke: [$1]}}
certificates:
  alice: {issuer: issuing, for: client, sans: ["spiffe://demo.test/alice"]}
  mallory: {issuer: issuing, for: client, sans: ["spiffe://demo.test/mallory"]}
YAML
  "$proxy" ca apply "$dir/pki.yaml" --dir "$dir/pki" >/dev/null
}

# expect yes|no NAME: does a server that looks at the list take it?
expect() {
  local got=no
  if openssl verify -purpose sslclient -crl_check -CRLfile "$dir/pki/issuing-crl.pem" \
    -CAfile "$dir/pki/root.pem" -untrusted "$dir/pki/issuing.pem" "$dir/pki/$2.pem" >/dev/null 2>&1; then got=yes; fi
  printf '  %-8s %s\n' "$2" "$got"
  [ "$got" = "$1" ] || { echo "$0: $2: $got, expected $1" >&2; exit 1; }
}

echo "before"
apply ""
expect yes alice
expect yes mallory
first=$(openssl crl -in "$dir/pki/issuing-crl.pem" -noout -crlnumber)

echo "mallory is revoked"
apply mallory
expect yes alice
expect no mallory
[ "$first" != "$(openssl crl -in "$dir/pki/issuing-crl.pem" -noout -crlnumber)" ] || { echo "$0: the list has its old number" >&2; exit 1; }

# Whoever looks at no list notices nothing: that is what a drill is for.
openssl verify -CAfile "$dir/pki/root.pem" -untrusted "$dir/pki/issuing.pem" "$dir/pki/mallory.pem" >/dev/null
echo "without the list mallory still stands: check that your servers are given $dir/pki/issuing-crl.pem"

#!/usr/bin/env bash
# Two services that call each other: each has one certificate for both sides of
# TLS, with its DNS name and its SPIFFE ID, in a directory of its own that can be
# mounted as it is (tls.crt, tls.key, ca.crt).
#
#   service-pair.sh [DIR] [A] [B]      defaults: ./services orders payments
#
# The domain is DOMAIN (demo.test), the lifetime DAYS (7). PROXY is the binary.
set -euo pipefail

proxy=${PROXY:-proxy}
dir=${1:-services}
pair=("${2:-orders}" "${3:-payments}")
domain=${DOMAIN:-demo.test}
command -v "$proxy" >/dev/null || { echo "$0: no $proxy here; set PROXY to the binary" >&2; exit 69; }

if [ ! -e "$dir/ca/ca.pem" ]; then
  "$proxy" ca init --dir "$dir/ca" --name Services
fi

for name in "${pair[@]}"; do
  mkdir -p "$dir/$name"
  "$proxy" cert issue "$name.$domain" localhost --both --spiffe "spiffe://$domain/$name" \
    --days "${DAYS:-7}" --dir "$dir/ca" --out "$dir/$name/new" --force
  # The key first: whoever watches the certificate finds both.
  mv "$dir/$name/new-key.pem" "$dir/$name/tls.key"
  mv "$dir/$name/new.pem" "$dir/$name/tls.crt"
  rm -f "$dir/$name/new-chain.pem"
  cp "$dir/ca/ca.pem" "$dir/$name/ca.crt"
done

# Each must stand on both sides, for the name it is called by.
for name in "${pair[@]}"; do
  "$proxy" cert verify "$dir/$name/tls.crt" --ca "$dir/$name/ca.crt" --as client >/dev/null
  "$proxy" cert verify "$dir/$name/tls.crt" --ca "$dir/$name/ca.crt" --as server --host "$name.$domain" >/dev/null
  "$proxy" cert lint "$dir/$name/tls.crt" >/dev/null
  echo "$name: $dir/$name"
done

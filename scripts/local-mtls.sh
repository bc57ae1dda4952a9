#!/usr/bin/env bash
# Mutual TLS on this machine in one minute: a CA, a certificate for a server and
# one for a client, and a handshake that shows that they work.
#
#   local-mtls.sh [DIR]        DIR is where they go; the default is ./mtls
#
# PROXY is the binary to use, by default "proxy" from the PATH.
set -euo pipefail

proxy=${PROXY:-proxy}
dir=${1:-mtls}
command -v "$proxy" >/dev/null || { echo "$0: no $proxy here; set PROXY to the binary" >&2; exit 69; }

# A root that peers trust, and an issuing CA below it. A second run keeps them.
if [ ! -e "$dir/ca/ca.pem" ]; then
  "$proxy" ca init --dir "$dir/ca" --name Local
fi

# Each call writes NAME.pem (with the issuing CA) and NAME-key.pem (mode 0600).
"$proxy" cert issue localhost 127.0.0.1 ::1 --server --dir "$dir/ca" --out "$dir/server" --force
"$proxy" cert issue alice --client --spiffe spiffe://demo.test/alice --dir "$dir/ca" --out "$dir/alice" --force

# Does it stand, and would everybody say so?
"$proxy" cert verify "$dir/server.pem" --ca "$dir/ca/ca.pem" --as server --host localhost >/dev/null
"$proxy" cert verify "$dir/alice.pem" --ca "$dir/ca/ca.pem" --as client >/dev/null
echo "both certificates stand"

# A real handshake, where openssl and curl are installed.
if command -v openssl >/dev/null && command -v curl >/dev/null; then
  openssl s_server -accept 127.0.0.1:0 -www -naccept 2 -Verify 5 -verify_return_error -CAfile "$dir/ca/ca.pem" \
    -cert "$dir/server.pem" -cert_chain "$dir/server.pem" -key "$dir/server-key.pem" >"$dir/s_server.log" 2>&1 &
  server=$!
  trap 'kill "$server" 2>/dev/null || true; rm -f "$dir/s_server.log"' EXIT
  port=
  for _ in $(seq 100); do
    port=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "$dir/s_server.log")
    [ -n "$port" ] && break
    sleep 0.05
  done
  [ -n "$port" ] || { echo "$0: the server did not start:" >&2; cat "$dir/s_server.log" >&2; exit 1; }
  ask=(curl -sS -m 5 -o /dev/null --cacert "$dir/ca/ca.pem" --resolve "localhost:$port:127.0.0.1" "https://localhost:$port/")
  "${ask[@]}" --cert "$dir/alice.pem" --key "$dir/alice-key.pem"
  echo "alice gets in"
  if "${ask[@]}" 2>/dev/null; then
    echo "$0: somebody without a certificate got in" >&2
    exit 1
  fi
  echo "nobody else does"
fi

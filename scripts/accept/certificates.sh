#!/usr/bin/env bash
# What somebody who scripts issuance must be able to rely on, step by step: stable
# flags, JSON on stdout, exit codes, no prompts, files that others can read.
#
# PROXY is the binary to use, by default "proxy" from the PATH. Needs openssl and jq.
# Steps of several commands are texts for a shell of their own, which is to expand
# them, not this one.
# shellcheck disable=SC2016
set -uo pipefail

proxy=${PROXY:-proxy}
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
passed=0 failed=0

# check NAME COMMAND…: the command must succeed.
check() {
  local name=$1
  shift
  if "$@" >"$d/out" 2>"$d/err" </dev/null; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $name (exit $?)"
    sed 's/^/    /' "$d/err"
  fi
}
# exits CODE NAME COMMAND…: the command must end with that exit code.
exits() {
  local code=$1 name=$2 got=0
  shift 2
  "$@" >"$d/out" 2>"$d/err" </dev/null || got=$?
  if [ "$got" = "$code" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $name: exit $got, want $code"
    sed 's/^/    /' "$d/err"
  fi
}
sh_() { bash -c "set -euo pipefail; $1"; }
export d proxy
export -f sh_

check "a CA is made, and says where" sh_ '"$proxy" ca init --dir "$d/ca" -o json | jq -e ".root.path and .issuing.path"'
exits 73 "it is not made twice" "$proxy" ca init --dir "$d/ca"

check "a server certificate, typed names, minutes" sh_ \
  '"$proxy" cert issue svc --server --san svc.demo.test --san 127.0.0.1 --san spiffe://demo.test/svc --minutes 5 --dir "$d/ca" --out "$d/svc" -o json >"$d/j"'
check "openssl takes it for a server's" openssl verify -CAfile "$d/ca/ca.pem" -untrusted "$d/ca/issuing.pem" -purpose sslserver "$d/svc.pem"
check "the names are of their kinds" sh_ \
  'openssl x509 -in "$d/svc.pem" -noout -ext subjectAltName >"$d/san"; grep -q URI:spiffe "$d/san"; grep -q "IP Address:127.0.0.1" "$d/san"'
check "the key is its owner's alone" sh_ '[ "$(stat -c %a "$d/svc-key.pem")" = 600 ]'
check "the chain is leaf and issuing CA, never the root" sh_ '[ "$(grep -c BEGIN "$d/svc-chain.pem")" = 2 ]'
check "minutes mean minutes" sh_ 'jq -e ".not_after|fromdate - now | . < 301 and . > 200" "$d/j"'

check "a CSR goes in; the key stays with its owner" sh_ \
  'openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$d/k" -subj /CN=csr -out "$d/c.csr" 2>/dev/null
   "$proxy" cert issue --csr "$d/c.csr" --client --dir "$d/ca" --out - | openssl x509 -noout -subject | grep -q csr'
check "so does a request as cfssl writes them" sh_ \
  'echo "{\"CN\":\"from-cfssl\",\"hosts\":[\"a.test\"],\"key\":{\"algo\":\"ecdsa\",\"size\":256}}" |
   "$proxy" cert issue --cfssl-csr - --profile client --dir "$d/ca" --out "$d/cf" -q'
check "it is for clients" "$proxy" cert verify "$d/cf.pem" --ca "$d/ca/ca.pem" --as client
exits 1 "and not for servers" "$proxy" cert verify "$d/cf.pem" --ca "$d/ca/ca.pem" --as server

exits 1 "what is not due is not renewed" "$proxy" cert renew "$d/svc.pem" --if-expires-in 1% --dir "$d/ca"
check "what is due is" "$proxy" cert renew "$d/svc.pem" --force --dir "$d/ca"
check "a revoked certificate is on the list" sh_ \
  '"$proxy" cert revoke "$d/cf.pem" --dir "$d/ca"
   openssl crl -in "$d/ca/crl.pem" -noout -text | grep -qi "$(openssl x509 -in "$d/cf.pem" -noout -serial | cut -d= -f2)"'
check "no prompt and no colour in a pipe" sh_ \
  '! "$proxy" cert issue a --client --dir "$d/ca" --out - | cat -v | grep -q "\^\["'
exits 64 "an unknown flag is a mistake of usage" "$proxy" cert issue a --clent --dir "$d/ca"
exits 66 "a CA that is not there is named" "$proxy" cert issue a --client --dir "$d/nothing"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

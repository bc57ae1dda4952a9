#!/usr/bin/env bash
# A Kubernetes Secret of type kubernetes.io/tls with a fresh certificate, and the
# CA in ca.crt, on the standard output:
#
#   kubernetes-secret.sh NAME [NAMESPACE] | kubectl apply -f -
#
# The certificate is for NAME as the cluster's DNS has it, for both sides of TLS.
# CA_DIR is the CA's directory (./ca; it is made if it is not there), DAYS the
# lifetime (30). PROXY is the binary to use, by default "proxy" from the PATH.
set -euo pipefail

proxy=${PROXY:-proxy}
[ $# -ge 1 ] || { echo "usage: $0 NAME [NAMESPACE]" >&2; exit 64; }
name=$1
namespace=${2:-default}
ca=${CA_DIR:-ca}
for word in "$name" "$namespace"; do
  # RFC 1123 labels: what Kubernetes takes, and nothing that YAML or a shell reads otherwise.
  [[ $word =~ ^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$ ]] || { echo "$0: \"$word\" is no name for Kubernetes" >&2; exit 64; }
done
command -v "$proxy" >/dev/null || { echo "$0: no $proxy here; set PROXY to the binary" >&2; exit 69; }

if [ ! -e "$ca/ca.pem" ]; then
  "$proxy" ca init --dir "$ca" --name "Cluster" >&2
fi

dir=$(mktemp -d) # mode 0700
trap 'rm -rf "$dir"' EXIT
"$proxy" cert issue "$name.$namespace.svc" "$name" "$name.$namespace" "$name.$namespace.svc.cluster.local" \
  --both --spiffe "spiffe://cluster.local/ns/$namespace/sa/$name" --days "${DAYS:-30}" --dir "$ca" --out "$dir/tls" >&2
"$proxy" cert verify "$dir/tls.pem" --ca "$ca/ca.pem" --as server --host "$name.$namespace.svc" >/dev/null

b64() { base64 <"$1" | tr -d '\n'; }
# Not in the document itself: what fails in there goes unnoticed.
crt=$(b64 "$dir/tls.pem")
key=$(b64 "$dir/tls-key.pem")
ca_crt=$(b64 "$ca/ca.pem")
cat <<YAML
apiVersion: v1
kind: Secret
metadata:
  name: "$name-tls"
  namespace: "$namespace"
type: kubernetes.io/tls
data:
  tls.crt: $crt
  tls.key: $key
  ca.crt: $ca_crt
YAML

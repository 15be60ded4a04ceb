#!/bin/sh
# Make the secrets of a namespace, out of chance. What exists is left as it is: kubectl says so, and the rest is made.
#   secrets.sh NAMESPACE CALLERS [kubectl options, for instance --dry-run=client -o yaml]
# CALLERS is a file of the callers' keys, a line for each: NAME SCOPE[,SCOPE...] SHA256, where SHA256 is what
# `printf %s "$KEY" | sha256sum` prints. Prometheus gets a key of its own beside them. No secret is printed, unless
# asked for by -o, nor seen in the list of processes. The certificate of the Ingress is nobody's to invent:
#   kubectl -n NAMESPACE create secret tls drugpred-tls --cert=FILE --key=FILE
set -eu
umask 077
namespace=$1 callers=$2
shift 2
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

chance() { openssl rand -hex 32 | tr -d '\n'; }
hash() { sha256sum "$1" | cut -d ' ' -f 1; }

chance > "$folder/feedback"
chance > "$folder/metrics"
chance > "$folder/redis"
{ cat "$callers"; echo "prometheus metrics $(hash "$folder/metrics")"; } > "$folder/api-keys"
{
  echo user default off
  echo "user drugpred on #$(hash "$folder/redis") ~* &* +@all -@admin -@dangerous"
} > "$folder/users.acl"
{ printf redis://drugpred:; cat "$folder/redis"; printf @redis:6379/0; } > "$folder/url"

failed=0
cd "$folder"
kubectl create -n "$namespace" secret generic drugpred-feedback --from-file=key=feedback "$@" || failed=1
kubectl create -n "$namespace" secret generic drugpred-keys --from-file=api-keys "$@" || failed=1
kubectl create -n "$namespace" secret generic drugpred-metrics --from-file=key=metrics "$@" || failed=1
kubectl create -n "$namespace" secret generic drugpred-redis --from-file=url --from-file=users.acl "$@" || failed=1
exit $failed

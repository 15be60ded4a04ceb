#!/bin/sh
# Create the secrets of a namespace, from random bytes. Existing secrets stay: kubectl reports them, and the rest is
# created.
#   secrets.sh NAMESPACE CALLERS [kubectl options, for instance --dry-run=client -o yaml]
# CALLERS is a file of the callers' keys, a line for each: NAME SCOPE[,SCOPE...] SHA256, where SHA256 is the output of
# `printf %s "$KEY" | sha256sum`. Prometheus gets its own key in addition. No secret is printed, except with -o, or
# visible in the list of processes. You provide the certificate of the Ingress:
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

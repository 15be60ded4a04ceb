#!/bin/sh
# Let the API server of the current context (KUBECONFIG) validate the resources, without storing them.
#   check.sh OVERLAY    staging or production; the canary goes with production
# A dry run does not create a namespace either, and nothing can be validated in a missing one: a missing namespace is
# created, with its labels, and stays. The cluster must have the resource types of the Prometheus operator.
set -eu
cd "$(dirname "$0")"
case $1 in
  staging) overlays=overlays/staging ;;
  production) overlays='overlays/production canary' ;;
  *) echo "expected staging or production" >&2; exit 2 ;;
esac

for kind in servicemonitors prometheusrules; do
  kubectl get "$kind.monitoring.coreos.com" -A -o name > /dev/null || exit 3
done
kubectl apply -k "overlays/$1" --server-side -l pod-security.kubernetes.io/enforce=restricted
for overlay in $overlays; do
  kubectl apply -k "$overlay" --server-side --dry-run=server
done

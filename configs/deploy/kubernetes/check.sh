#!/bin/sh
# Let the API server of the current context (KUBECONFIG) validate the resources, without storing them.
#   check.sh OVERLAY    staging, production or plain; the canary goes with production
# A dry run does not create a namespace either, and nothing can be validated in a missing one: a missing namespace is
# created, with its labels, and stays. Unless the overlay is plain, the cluster must have the resource types of the
# Prometheus operator.
set -eu
cd "$(dirname "$0")"
operator='servicemonitors prometheusrules'
case $1 in
  staging) overlays=overlays/staging ;;
  production) overlays='overlays/production canary' ;;
  plain) overlays=overlays/plain operator= ;;
  *) echo "expected staging, production or plain" >&2; exit 2 ;;
esac

for kind in $operator; do
  kubectl get "$kind.monitoring.coreos.com" -A -o name > /dev/null || exit 3
done
kubectl apply -k "overlays/$1" --server-side -l pod-security.kubernetes.io/enforce=restricted
for overlay in $overlays; do
  kubectl apply -k "$overlay" --server-side --dry-run=server
done

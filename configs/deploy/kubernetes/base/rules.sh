#!/bin/sh
# Make rules.yaml, in which the Prometheus operator takes configs/monitoring/rules: kustomize reads no file outside of
# its folder. Run it after a change of the rules; a test compares.
set -eu
cd "$(dirname "$0")"
{
  echo '# Made by rules.sh of configs/monitoring/rules: change those.'
  for rules in ../../../monitoring/rules/*.yml; do
    name=$(basename "$rules" .yml)
    printf -- '---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n'
    printf 'metadata:\n  name: drugpred-%s\n' "$name"
    printf '  labels:\n    app.kubernetes.io/name: drugpred\nspec:\n'
    sed 's/^\(.\)/  \1/' "$rules"
  done
} > rules.yaml

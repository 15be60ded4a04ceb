#!/bin/sh
# Make rules.yaml from configs/monitoring/rules for the Prometheus operator, because kustomize reads no file outside of
# its folder. Run it after a change of the rules; a test compares both.
set -eu
cd "$(dirname "$0")"
{
  echo '# Made by rules.sh from configs/monitoring/rules: edit those.'
  for rules in ../../../monitoring/rules/*.yml; do
    name=$(basename "$rules" .yml)
    printf -- '---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n'
    printf 'metadata:\n  name: drugpred-%s\n' "$name"
    printf '  labels:\n    app.kubernetes.io/name: drugpred\nspec:\n'
    sed 's/^\(.\)/  \1/' "$rules"
  done
} > rules.yaml

#!/bin/sh
# Replace the replicas of compose.yaml one by one, without a request that fails.
#
#   sh configs/deploy/roll.sh                             by the image and the settings in .env
#   sh configs/deploy/roll.sh drug_consumption:VERSION    serving this model of bentoml/models from now on
#
# A new replica must be healthy before an old one is told to end; if it is not, it is removed, and all stays as it was.
set -eu
cd "$(dirname "$0")"
# Of the edge: names are asked for each 0.5 s, readiness each 0.2 s.
notice=2

if [ $# -gt 0 ]; then
    export DRUGPRED_MODEL="$1"
fi
old=$(docker compose ps --quiet drugpred)
[ -n "$old" ] || { echo "no replica runs: docker compose -f configs/deploy/compose.yaml up -d" >&2; exit 1; }
n=$(echo "$old" | wc -l)

for replica in $old; do
    before=$(docker compose ps --all --quiet drugpred)
    if ! docker compose up --detach --no-deps --no-recreate --wait --wait-timeout 60 --scale "drugpred=$((n + 1))" drugpred; then
        for each in $(docker compose ps --all --quiet drugpred); do
            case $before in
            *$each*) ;;
            *) docker logs --tail 5 "$each" >&2; docker rm --force "$each" ;;
            esac
        done
        echo "the new replica is not healthy and was removed; the others go on" >&2
        exit 1
    fi
    sleep $notice
    docker stop "$replica"
    docker rm "$replica"
done

if [ $# -gt 0 ]; then
    kept=$(grep -v '^DRUGPRED_MODEL=' .env)
    (umask 077; printf '%s\nDRUGPRED_MODEL=%s\n' "$kept" "$1" > .env.new)
    mv .env.new .env
fi
docker compose ps drugpred

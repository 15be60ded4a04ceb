#!/bin/sh
# Replace the replicas of compose.yaml by new ones, without a request that fails.
#
#   sh configs/deploy/roll.sh                             by the image and the settings in .env
#   sh configs/deploy/roll.sh drug_consumption:VERSION    serving this model of bentoml/models from now on
#
# As many new replicas must be healthy before the old ones are told to end, one by one; if one is not, the new ones are
# removed, and all stays as it was. Until then both take memory.
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

if ! docker compose up --detach --no-deps --no-recreate --wait --wait-timeout 50 --scale "drugpred=$((2 * n))" drugpred; then
    for each in $(docker compose ps --all --quiet drugpred); do
        case $old in
        *$each*) ;;
        *) docker logs --tail 5 "$each" >&2; docker rm --force "$each" > /dev/null ;;
        esac
    done
    echo "a new replica is not healthy: they were removed, the others go on" >&2
    exit 1
fi
sleep $notice
for replica in $old; do
    docker stop "$replica" > /dev/null
    docker rm "$replica" > /dev/null
done

if [ $# -gt 0 ]; then
    kept=$(grep -v '^DRUGPRED_MODEL=' .env)
    (umask 077; printf '%s\nDRUGPRED_MODEL=%s\n' "$kept" "$1" > .env.new)
    mv .env.new .env
fi
docker compose ps drugpred

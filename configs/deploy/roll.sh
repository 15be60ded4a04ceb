#!/bin/sh
# Replace the replicas of compose.yaml without a failed request.
#
#   sh configs/deploy/roll.sh                             with the image and the settings in .env
#   sh configs/deploy/roll.sh drug_consumption:VERSION    serve this model of bentoml/models from now on
#
# All new replicas must be healthy and known to the edge before the old ones are stopped, one by one. Otherwise the new
# ones are removed, and nothing changes. Until then both need memory.
set -eu
cd "$(dirname "$0")"

if [ $# -gt 0 ]; then
    export DRUGPRED_MODEL="$1"
fi
old=$(docker compose ps --quiet drugpred)
[ -n "$old" ] || { echo "no replica runs: docker compose -f configs/deploy/compose.yaml up -d" >&2; exit 1; }
n=$(echo "$old" | wc -l)

# The edge's checks of all replicas, old and new, over HTTP and gRPC.
counted() {
    for _ in $(seq 40); do
        ready=$(docker compose exec -T edge wget -q -O - http://127.0.0.1:8405/metrics |
            grep -c "^haproxy_backend_active_servers{proxy=\"\(http\|rpc\)\"} $((2 * n))\$") || true
        [ "$ready" = 2 ] && return
        sleep 0.5
    done
    return 1
}

if ! docker compose up --detach --no-deps --no-recreate --wait --wait-timeout 50 --scale "drugpred=$((2 * n))" drugpred ||
    ! counted; then
    for each in $(docker compose ps --all --quiet drugpred); do
        case $old in
        *$each*) ;;
        *) docker logs --tail 5 "$each" >&2; docker rm --force "$each" > /dev/null ;;
        esac
    done
    echo "a new replica is not healthy, or unknown to the edge: the new ones were removed, the old ones continue" >&2
    exit 1
fi
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

#!/bin/sh
# Create what compose.yaml needs and a repository must not contain: keys, passwords, a test certificate. Existing ones
# stay.
#
#   sh configs/deploy/secrets.sh IMAGE ALERT_RECEIVER
#
# IMAGE is the service's, for example drugpred:VERSION; alerts are posted to ALERT_RECEIVER, such as
# https://pager.example/hook.
set -eu
image=${1:?expected the image of the service, as drugpred:VERSION}
receiver=${2:?expected the address that alerts are posted to}
cd "$(dirname "$0")"
umask 022 # containers read them as other users
mkdir -p bentoml/models secrets
chmod 700 secrets # but of this machine's users only the owner
mkdir -p secrets/keys secrets/tls

random() { openssl rand -hex 32; }
digest() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }

if [ ! -e secrets/keys/api_keys ]; then
    key=$(random)
    [ -e secrets/metrics_key ] || printf %s "$(random)" > secrets/metrics_key
    {
        echo "prometheus metrics $(digest "$(cat secrets/metrics_key)")"
        echo "first predict,feedback,read $(digest "$key")"
    } > secrets/keys/api_keys
    echo "the first caller's key, kept nowhere else: $key"
fi
[ -e secrets/grafana_password ] || printf %s "$(random)" > secrets/grafana_password
if [ ! -e secrets/tls/edge.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
        -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" \
        -keyout secrets/tls/edge.pem.key -out secrets/tls/edge.pem 2> /dev/null
    chmod 644 secrets/tls/edge.pem.key
    echo "a self-signed certificate for localhost, valid for 30 days: replace it with yours"
fi
if [ ! -e .env ]; then
    password=$(random)
    printf '%s\n' "requirepass $password" "dir /data" "appendonly yes" "maxmemory 96mb" > secrets/redis.conf
    (
        umask 077
        cat > .env << END
DRUGPRED_IMAGE=$image
ALERT_RECEIVER=$receiver
DRUGPRED_FEEDBACK_KEY=$(random)
REDIS_PASSWORD=$password
END
    )
    echo "settings are in configs/deploy/.env"
fi

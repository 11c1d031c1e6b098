#!/bin/sh
# A shell script's test: it starts the emulator, arranges, runs what is tested, asserts and stops.
set -eu

dir=$(mktemp -d)
gcp-metadata-emulator serve --listen 127.0.0.1:0 --url-file "$dir/url" --ephemeral &
emulator=$!
trap 'kill $emulator && wait $emulator; rm -r "$dir"' EXIT
until [ -s "$dir/url" ]; do
	kill -0 $emulator || exit 1
	sleep 0.1
done
environment=$(gcp-metadata-emulator env --url "$(cat "$dir/url")")
eval "$environment"
control=$GCP_METADATA_EMULATOR_URL/emulator/v1

# What is tested: it reads a color and gets a token, trying again when that fails.
deploy() {
	for entry in instance/attributes/color instance/service-accounts/default/token; do
		curl -fsS --retry 2 -H 'Metadata-Flavor: Google' "http://$GCE_METADATA_HOST/computeMetadata/v1/$entry"
	done
}

# Arrange: an attribute, and a token endpoint that fails once.
curl -fsS -X PUT "$control/instances/-/metadata/instance/attributes/color" -d '{"value": "green"}'
curl -fsS "$control/faults" -d '{"route": "mds.token", "status": 503, "times": 1}'
first=$(deploy)
case $first in green*access_token*) ;; *) echo "deployed $first" >&2 && exit 1 ;; esac

# Two hours later the cached token has been replaced.
curl -fsS "$control/clock:advance" -d '{"duration": "2h"}'
[ "$(deploy)" != "$first" ]

# Assert: curl fails where there were more requests, or fewer.
curl -fsS "$control/requests?route=mds.token&status=503&expect=1"
curl -fsS "$control/requests?route=mds.token&status=200&expect=2"

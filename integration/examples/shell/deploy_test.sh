#!/bin/sh
# A test of a shell script: it starts the emulator, arranges, runs the script, asserts and stops.
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

# The script under test: it reads a color and gets a token, with a retry after a failure.
deploy() {
	for entry in instance/attributes/color instance/service-accounts/default/token; do
		curl -fsS --retry 2 -H 'Metadata-Flavor: Google' "http://$GCE_METADATA_HOST/computeMetadata/v1/$entry"
	done
}

# Arrange: set an attribute, and let the token endpoint fail once.
curl -fsS -X PUT "$control/instances/-/metadata/instance/attributes/color" -d '{"value": "green"}'
curl -fsS "$control/faults" -d '{"route": "mds.token", "status": 503, "times": 1}'
first=$(deploy)
case $first in green*access_token*) ;; *) echo "deployed $first" >&2 && exit 1 ;; esac

# Two hours later the cached token has been replaced.
curl -fsS "$control/clock:advance" -d '{"duration": "2h"}'
[ "$(deploy)" != "$first" ]

# Assert: curl fails if there were more or fewer requests.
curl -fsS "$control/requests?route=mds.token&status=503&expect=1"
curl -fsS "$control/requests?route=mds.token&status=200&expect=2"

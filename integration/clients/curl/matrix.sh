#!/bin/sh
# Uses curl like a program that talks to Google's servers. Prints the results as JSON.
#
#   matrix.sh KEY_FILE AUDIENCE TARGET WANTED...
#
# curl knows no variable for the metadata server. If only variables lead to the emulator, the
# script gives curl its URL.
set -eu
audience=$2 target=$3
shift 3
metadata=http://metadata.google.internal iam=https://iamcredentials.googleapis.com
if [ -n "${GCE_METADATA_HOST-}" ] && [ -z "${HTTPS_PROXY-}" ]; then
	metadata=http://$GCE_METADATA_HOST iam=http://$GCE_METADATA_HOST
fi
fetch() { curl --silent --show-error --fail -H 'Metadata-Flavor: Google' "$@"; }
account=$metadata/computeMetadata/v1/instance/service-accounts/default
text() { sed -n "s/.*\"$1\": *\"\\([^\"]*\\)\".*/\\1/p"; }
access() { fetch "$account/token" | text access_token; }

between='{'
for wanted; do
	case $wanted in
	metadata) value=$(fetch "$metadata/computeMetadata/v1/project/project-id") ;;
	access) value=$(access) ;;
	identity) value=$(fetch "$account/identity?audience=$audience&format=full") ;;
	impersonate)
		# As in Google's page on workload identity federation. Over TLS, curl then offers http/1.0 alone.
		value=$(fetch --http1.0 -H "Authorization: Bearer $(access)" --json '{"scope":["https://www.googleapis.com/auth/cloud-platform"]}' \
			"$iam/v1/projects/-/serviceAccounts/$target:generateAccessToken" | text accessToken)
		;;
	*) exit 2 ;;
	esac
	printf '%s"%s":"%s"' "$between" "$wanted" "$value"
	between=,
done
echo '}'

#!/bin/sh
# Uses gcloud like a program that talks to Google's servers. Prints the results as JSON.
#
#   matrix.sh KEY_FILE AUDIENCE TARGET WANTED...
set -eu
key=$1 audience=$2 target=$3
shift 3

# with_key prints an access token of the key file's account, from a separate configuration.
with_key() (
	CLOUDSDK_CONFIG=$CLOUDSDK_CONFIG/key
	export CLOUDSDK_CONFIG
	gcloud --quiet auth activate-service-account --key-file="$key" 2>/dev/null
	gcloud auth print-access-token
)

between='{'
for wanted; do
	case $wanted in
	metadata) value=$(gcloud auth list --format='value(account)' 2>/dev/null) ;;
	access) value=$(gcloud auth print-access-token) ;;
	identity) value=$(gcloud auth print-identity-token --audiences="$audience" --token-format=full) ;;
	key) value=$(with_key) ;;
	impersonate) value=$(gcloud --quiet auth print-access-token --impersonate-service-account="$target" 2>/dev/null) ;;
	*) exit 2 ;;
	esac
	printf '%s"%s":"%s"' "$between" "$wanted" "$value"
	between=,
done
echo '}'

#!/bin/sh
# Writes a credential file of every type into a directory, then replaces itself with the command
# that uses them.
#
#   with-files.sh EMULATOR FOLDER WORKER TARGET COMMAND [ARG...]
#
# The files lead to the emulator's TLS address, if it has one.
set -eu
emulator=$1 folder=$2 worker=$3 target=$4
shift 4
write() {
	name=$1
	shift
	"$emulator" credentials "$@" --url "${GCP_METADATA_EMULATOR_TLS_URL-$GCP_METADATA_EMULATOR_URL}" --output "$folder/$name.json"
}
write service-account service-account --account "$worker"
write authorized-user authorized-user
write external-account external-account
write external-account-impersonates external-account --account "$target"
write external-account-authorized-user external-account-authorized-user
write impersonated-by-key impersonated-service-account --account "$target" --source service-account
write impersonated-by-external-account impersonated-service-account --account "$target"
exec "$@"

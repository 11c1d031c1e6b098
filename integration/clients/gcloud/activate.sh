#!/bin/sh
# gcloud with a service account's key file: activate it, and use it from then on.
#
#   activate.sh KEY_FILE AUDIENCE RESULTS
#
# Leaves what each command printed in the folder RESULTS.
set -eu
key=$1 audience=$2 results=$3
gcloud auth activate-service-account --key-file="$key"
gcloud auth list --format=json >"$results/accounts.json"
gcloud auth print-access-token >"$results/access-token"
gcloud auth print-identity-token --audiences="$audience" >"$results/identity-token"

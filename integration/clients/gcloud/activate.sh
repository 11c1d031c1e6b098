#!/bin/sh
# Uses gcloud with a service account's key file: activates it and then uses it.
#
#   activate.sh KEY_FILE AUDIENCE RESULTS
#
# Leaves the output of each command in the directory RESULTS.
set -eu
key=$1 audience=$2 results=$3
gcloud auth activate-service-account --key-file="$key"
gcloud auth list --format=json >"$results/accounts.json"
gcloud auth print-access-token >"$results/access-token"
gcloud auth print-identity-token --audiences="$audience" >"$results/identity-token"

#!/bin/sh
# Uses gcloud as a workload of another identity provider: signs in with a credential file and then
# uses it.
#
#   federate.sh EMULATOR ACCOUNT RESULTS
#
# ACCOUNT is a service account to impersonate, or - for none. Leaves the output of each command in
# the directory RESULTS.
set -eu
emulator=$1 account=$2 results=$3
if [ "$account" = - ]; then
	"$emulator" credentials external-account --output "$results/credential.json"
else
	"$emulator" credentials external-account --account "$account" --output "$results/credential.json"
fi
gcloud auth login --cred-file="$results/credential.json"
gcloud auth list --filter=status:ACTIVE --format='value(account)' >"$results/account"
gcloud auth print-access-token >"$results/access-token"

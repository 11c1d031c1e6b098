#!/bin/sh
# Manages service accounts with gcloud: creates an account, gives it a key and a policy, and uses
# the key. Signs as another account.
#
#   service-accounts.sh ACCOUNT_ID EMAIL MEMBER SIGNER RESULTS
#
# Leaves the output of each command in the directory RESULTS.
set -eu
id=$1 email=$2 member=$3 signer=$4 results=$5
role=roles/iam.serviceAccountTokenCreator
gcloud iam service-accounts create "$id" --display-name="Made by gcloud"
gcloud iam service-accounts list --format=json >"$results/accounts.json"
gcloud iam service-accounts keys create "$results/key.json" --iam-account="$email"
gcloud iam service-accounts keys list --iam-account="$email" --managed-by=user --format=json >"$results/keys.json"
gcloud iam service-accounts add-iam-policy-binding "$email" --member="$member" --role="$role" --format=json >"$results/policy.json"
gcloud iam service-accounts get-iam-policy "$email" --format=json >"$results/policy-read.json"
gcloud iam service-accounts remove-iam-policy-binding "$email" --member="$member" --role="$role" --format=json >"$results/policy-empty.json"
printf '{"sub":"a-user"}' >"$results/claims.json"
gcloud iam service-accounts sign-jwt "$results/claims.json" "$results/jwt" --iam-account="$signer"
gcloud iam service-accounts sign-blob "$results/claims.json" "$results/signature" --iam-account="$signer"
gcloud projects describe demo-project --format="value(projectNumber)" >"$results/number"
gcloud compute instances list --zones=us-central1-a --format="value(name)" >"$results/instances"
gcloud auth activate-service-account --key-file="$results/key.json"
gcloud auth print-access-token >"$results/access-token"
gcloud iam service-accounts keys delete "$(basename "$(gcloud iam service-accounts keys list --iam-account="$email" --managed-by=user --format='value(name)')")" --iam-account="$email"
gcloud iam service-accounts delete "$email"

#!/bin/sh
# Lets a member call a service on Cloud Run, and takes the right away again, as the documents do. Leaves
# its results in a folder.
#
# usage: services.sh SERVICE REGION MEMBER FOLDER
set -eu
service=$1 region=$2 member=$3 folder=$4

gcloud run services list --format=json >"$folder/services.json"
gcloud run services list --region "$region" --format='value(metadata.name)' >"$folder/of-the-region"
gcloud run services describe "$service" --region "$region" --format='value(status.url)' >"$folder/url"
gcloud run services describe "$service" --region "$region" >"$folder/description"
gcloud run services add-iam-policy-binding "$service" --region "$region" --member="$member" --role=roles/run.invoker --format=json >"$folder/added.json"
gcloud run services get-iam-policy "$service" --region "$region" --format=json >"$folder/read.json"
gcloud run services remove-iam-policy-binding "$service" --region "$region" --member="$member" --role=roles/run.invoker --format=json >"$folder/removed.json"
gcloud run services set-iam-policy "$service" "$folder/read.json" --region "$region" --format=json >"$folder/stale.json" 2>"$folder/stale" && exit 1
sed '/"etag"/d' "$folder/read.json" >"$folder/policy.json"
gcloud run services set-iam-policy "$service" "$folder/policy.json" --region "$region" --format=json >"$folder/set.json"

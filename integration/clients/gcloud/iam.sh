#!/bin/sh
# Manages a workload identity pool, a provider and a custom role. Prints in the end what gcloud says
# of each: a line for the provider, for the pools that are deleted, for the role and for the roles
# that are deleted.
set -eu
pools() { gcloud iam workload-identity-pools "$@" --location=global --quiet; }
providers() { pools providers "$@" --workload-identity-pool=made-pool; }
roles() { gcloud iam roles "$@" --project=demo-project --quiet; }

pools create made-pool --display-name=Made >/dev/null
providers create-oidc made-oidc --issuer-uri=https://token.example.com --allowed-audiences=a,b \
	--attribute-mapping=google.subject=assertion.sub >/dev/null
providers update-oidc made-oidc --allowed-audiences=c >/dev/null
providers describe made-oidc --format='value(name.basename(),oidc.issuerUri,oidc.allowedAudiences,state)'
pools delete made-pool >/dev/null
pools list --show-deleted --filter=state=DELETED --format='value(name.basename(),displayName,state)'
pools undelete made-pool >/dev/null

roles create made --title=Made --permissions=iam.serviceAccounts.signBlob,run.routes.invoke >/dev/null
roles update made --add-permissions=iam.serviceAccounts.signJwt --remove-permissions=run.routes.invoke >/dev/null
roles describe made --format='value(name.basename(),includedPermissions)'
roles delete made >/dev/null
roles list --show-deleted --format='value(name.basename(),deleted)'

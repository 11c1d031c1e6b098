package server

import (
	"net/http"

	"gcp-metadata-emulator/server/cloudrun"
	"gcp-metadata-emulator/server/compute"
	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/page"
	"gcp-metadata-emulator/server/publishedkeys"
	"gcp-metadata-emulator/server/router"
	"gcp-metadata-emulator/server/rpc"
	"gcp-metadata-emulator/server/sts"
	"gcp-metadata-emulator/server/token"
)

const (
	accountsPath  = "/v1/projects/{project}/serviceAccounts"
	accountPath   = accountsPath + "/{account:[^/:]+}"
	keyPath       = accountPath + "/keys/{key:[^/:]+}"
	rolesPath     = "/v1/projects/{project}/roles"
	rolePath      = rolesPath + "/{role:[^/:]+}"
	projectV1     = "/v1/projects/{project}"
	projectV3     = "/v3/projects/{project}"
	computePath   = "/compute/v1/projects/{project}"
	zonePath      = computePath + "/zones/{zone}"
	groupsPath    = zonePath + "/instanceGroups"
	poolsPath     = "/v1/projects/{project}/locations/global/workloadIdentityPools"
	poolPath      = poolsPath + "/{pool:[^/:]+}"
	providersPath = poolPath + "/providers"
	providerPath  = providersPath + "/{provider:[^/:]+}"
	poolOperation = "/operations/{operation:[^/:]+}"
	workforcePath = "/v1/locations/global/workforcePools/{pool}"
	servicesV1    = "/v1/projects/{project}/locations/{location}/services"
	servicesV2    = "/v2/projects/{project}/locations/{location}/services"
	knativePath   = "/apis/serving.knative.dev/v1/namespaces/{project}/services"
	servicePath   = "/{service:[^/:]+}"
	operationPath = "/v2/projects/{project}/locations/{location}/operations/{operation:[^/:]+}"
	treePath      = "/computeMetadata"
	credentialsV1 = "/google.iam.credentials.v1.IAMCredentials/" //nolint:gosec // the name of a service

	emulatorPath = "/emulator/v1"
	entryPath    = emulatorPath + "/instances/{instance}/metadata/{path:.+}"
	eventsPath   = emulatorPath + "/instances/{instance}/events"
)

// table returns every operation of the emulator. Google's methods have Google's names. Routes with
// the same first segment are tried in this order; the most frequent routes come first.
func (s surfaces) table() table {
	if s.whole != nil {
		return s.whole
	}
	return table{
		s.metadataServer(), s.keys(), s.discovery(), s.authorization(), s.oldUserInfo(), s.tokenExchange(),
		s.accountCredentials(), s.accounts(), s.roles(), s.pools(), s.resources(), s.machines(), s.runServices(), s.controlPlane(), s.peers(), s.probes(), s.webPage(),
	}
}

// metadataServer is the metadata server of an instance. The rows of its entries share a path.
func (s surfaces) metadataServer() surface {
	return surface{
		Name: "metadata", Hosts: []string{router.MetadataName},
		Dialect: s.metadata.Dialect(), Guard: unguarded, Watch: public, Unknown: fallback{s.metadata.Dialect(), s.metadata.Unknown},
		Routes: []route{
			{"mds.ping", getOrPost, "/", s.home(s.metadata.Ping), about(s.metadata.Subject), nothing, anyQuery},
		},
		Entries: []entry{
			{"mds.metadata", mds.Value, mds.Found.Subject, nothing},
			{"mds.token", mds.Token, mds.Found.Subject, token.KindAccess},
			{"mds.identity", mds.Identity, mds.Found.Subject, token.KindID},
			{"mds.guest-attributes", mds.GuestAttributes, mds.Found.Subject, nothing},
			{"mds.oslogin", mds.OSLogin, mds.Found.Subject, nothing},
		},
	}
}

// keys is the surface of the published keys with which verifiers check Google's tokens.
func (s surfaces) keys() surface {
	account := about(s.accountInPath)
	return surface{
		Name: "keys", Hosts: []string{"www.googleapis.com", "www.gstatic.com", "identitytoolkit.googleapis.com"},
		Dialect: publishedkeys.Dialect(), Guard: selecting, Watch: public, Unknown: s.noMethod(),
		Routes: []route{
			{"keys.jwks", http.MethodGet, "/oauth2/v3/certs", s.publishedKeys.JWKS, aboutNothing(), nothing, anyQuery},
			{"keys.certs", http.MethodGet, "/oauth2/v1/certs", s.publishedKeys.Certificates, aboutNothing(), nothing, anyQuery},
			{"keys.account.x509", http.MethodGet, "/service_accounts/v1/metadata/x509/{account}", s.publishedKeys.AccountCertificates, account, nothing, anyQuery},
			{"keys.account.jwk", http.MethodGet, "/service_accounts/v1/metadata/jwk/{account}", s.publishedKeys.AccountJWKS, account, nothing, anyQuery},
			{"keys.account.jwk", http.MethodGet, "/service_accounts/v1/jwk/{account}", s.publishedKeys.AccountJWKS, account, nothing, anyQuery},
			{"keys.account.raw", http.MethodGet, "/service_accounts/v1/metadata/raw/{account}", s.publishedKeys.AccountRaw, account, nothing, anyQuery},
			{"keys.account.x509", http.MethodGet, "/robot/v1/metadata/x509/{account}", s.publishedKeys.AccountCertificates, account, nothing, anyQuery},
			{"keys.account.jwk", http.MethodGet, "/robot/v1/metadata/jwk/{account}", s.publishedKeys.AccountJWKS, account, nothing, anyQuery},
			{"keys.firebase-session.x509", http.MethodGet, "/identitytoolkit/v3/relyingparty/publicKeys", s.publishedKeys.SessionCertificates, aboutNothing(), nothing, anyQuery},
			{"keys.firebase-session.jwk", http.MethodGet, "/v1/sessionCookiePublicKeys", s.publishedKeys.SessionJWKS, aboutNothing(), nothing, anyQuery},
			{"keys.iap.pem", http.MethodGet, "/iap/verify/public_key", s.publishedKeys.IAPKeys, aboutNothing(), nothing, anyQuery},
			{"keys.iap.jwk", http.MethodGet, "/iap/verify/public_key-jwk", s.publishedKeys.IAPJWKS, aboutNothing(), nothing, anyQuery},
		},
	}
}

// discovery is the description of Google's OpenID provider.
func (s surfaces) discovery() surface {
	return surface{
		Name: "discovery", Hosts: []string{"accounts.google.com"},
		Dialect: publishedkeys.Dialect(), Guard: selecting, Watch: public, Unknown: s.noMethod(),
		Routes: []route{
			{"openid.configuration", http.MethodGet, "/.well-known/openid-configuration", s.publishedKeys.Configuration, aboutNothing(), nothing, anyQuery},
		},
	}
}

func oauthHosts() []string {
	return []string{"accounts.google.com", "oauth2.googleapis.com", "openidconnect.googleapis.com", "www.googleapis.com"}
}

// authorization is the OAuth 2.0 authorization server, with the endpoints that describe its tokens.
// Its token endpoint issues access tokens and ID tokens. Access tokens have fewer defects than ID
// tokens, and stay valid under the other defects.
func (s surfaces) authorization() surface {
	tokeninfo, userinfo := about(s.tokeninfo.Subject), about(s.userinfo.Subject)
	return surface{
		Name: "oauth2", Hosts: oauthHosts(),
		Dialect: oauthapi.Dialect(), Guard: s.oauth, Watch: observed, Unknown: s.noMethod(),
		Routes: []route{
			{"oauth2.token", http.MethodPost, "/token", s.oauth2.Token, about(s.oauth2.Subject), token.KindID, anyQuery},
			{"oauth2.token", http.MethodPost, "/oauth2/{version:v3|v4}/token", s.oauth2.Token, about(s.oauth2.Subject), token.KindID, anyQuery},
			{"oauth2.token", http.MethodPost, "/o/oauth2/token", s.oauth2.Token, about(s.oauth2.Subject), token.KindID, anyQuery},
			{"oauth2.authorize", getOrPost, "/o/oauth2/auth", s.oauth2.Authorize, aboutNothing(), nothing, anyQuery},
			{"oauth2.authorize", getOrPost, "/o/oauth2/v2/auth", s.oauth2.Authorize, aboutNothing(), nothing, anyQuery},
			{"oauth2.deviceCode", http.MethodPost, "/device/code", s.oauth2.DeviceCode, aboutNothing(), nothing, anyQuery},
			{"oauth2.deviceCode", http.MethodPost, "/o/oauth2/device/code", s.oauth2.DeviceCode, aboutNothing(), nothing, anyQuery},
			{"oauth2.device", getOrPost, "/device", s.oauth2.Device, aboutNothing(), nothing, anyQuery},
			{"oauth2.revoke", getOrPost, "/revoke", s.oauth2.Revoke, aboutNothing(), nothing, anyQuery},
			{"oauth2.revoke", getOrPost, "/o/oauth2/revoke", s.oauth2.Revoke, aboutNothing(), nothing, anyQuery},
			{"oauth2.tokeninfo", getOrPost, "/tokeninfo", s.tokeninfo.Describe, tokeninfo, nothing, anyQuery},
			{"oauth2.tokeninfo", getOrPost, "/oauth2/v3/tokeninfo", s.tokeninfo.Describe, tokeninfo, nothing, anyQuery},
			{"oauth2.tokeninfo", getOrPost, "/oauth2/{version:v1|v2}/tokeninfo", s.tokeninfo.DescribeOld, tokeninfo, nothing, anyQuery},
			{"oauth2.userinfo", getOrPost, "/oauth2/v3/userinfo", s.userinfo.Describe, userinfo, nothing, anyQuery},
			{"oauth2.userinfo", getOrPost, "/v1/userinfo", s.userinfo.Describe, userinfo, nothing, anyQuery},
		},
	}
}

// oldUserInfo is the earlier user info endpoint, which has the errors of Google's APIs.
func (s surfaces) oldUserInfo() surface {
	userinfo := about(s.userinfo.Subject)
	return surface{
		Name: "oauth2 v2", Hosts: oauthHosts(),
		Dialect: googleapi.Dialect(), Guard: s.oldOAuth, Watch: observed, Unknown: s.noMethod(),
		Routes: []route{
			{"oauth2.userinfo", getOrPost, "/oauth2/{version:v1|v2}/userinfo", s.userinfo.DescribeOld, userinfo, nothing, anyQuery},
			{"oauth2.userinfo", getOrPost, "/userinfo/v2/me", s.userinfo.DescribeOld, userinfo, nothing, anyQuery},
		},
	}
}

// tokenExchange is the Security Token Service. Clients of the pools of GKE and of fleets use its
// former name, securetoken.
func (s surfaces) tokenExchange() surface {
	return surface{
		Name: "sts", Hosts: []string{"sts.googleapis.com", "securetoken.googleapis.com"},
		Dialect: sts.Dialect(), Guard: s.oauth, Watch: observed, Unknown: s.noMethod(),
		Routes: []route{
			{"sts.token", http.MethodPost, "/v1/token", s.sts.Token, about(s.sts.Subject), token.KindAccess, anyQuery},
			{"sts.token", http.MethodPost, "/v1beta/token", s.sts.Token, about(s.sts.Subject), token.KindAccess, anyQuery},
			{"sts.token", http.MethodPost, "/v1/identitybindingtoken", s.sts.Token, about(s.sts.Subject), token.KindAccess, anyQuery},
			{"sts.introspect", http.MethodPost, "/v1/introspect", s.sts.Introspect, aboutNothing(), nothing, anyQuery},
			{"sts.oauthtoken", http.MethodPost, "/v1/oauthtoken", s.sts.OAuthToken, aboutNothing(), token.KindAccess, anyQuery},
		},
	}
}

// accountCredentials is the IAM Service Account Credentials API, in JSON and in gRPC.
func (s surfaces) accountCredentials() surface {
	account, message := about(s.iamcredentials.Subject), s.iamcredentials.CallSubject
	return surface{
		Name: "iamcredentials", Hosts: []string{"iamcredentials.googleapis.com"},
		Dialect: googleapi.Dialect(), Guard: s.googleAPI, Watch: observed, Unknown: s.noMethod(),
		Routes: []route{
			{"iamcredentials.generateAccessToken", http.MethodPost, accountPath + ":generateAccessToken", s.iamcredentials.GenerateAccessToken, account, token.KindAccess, anyQuery},
			{"iamcredentials.generateIdToken", http.MethodPost, accountPath + ":generateIdToken", s.iamcredentials.GenerateIDToken, about(s.iamcredentials.IDTokenSubject), token.KindID, anyQuery},
			{"iamcredentials.signBlob", http.MethodPost, accountPath + ":signBlob", s.iamcredentials.SignBlob, account, nothing, anyQuery},
			{"iamcredentials.signJwt", http.MethodPost, accountPath + ":signJwt", s.iamcredentials.SignJWT, account, token.KindJWT, anyQuery},
			{"iamcredentials.allowedLocations", http.MethodGet, accountPath + "/allowedLocations", s.iamcredentials.AllowedLocations, account, nothing, anyQuery},
			{"iamcredentials.allowedLocations", http.MethodGet, poolPath + "/allowedLocations", s.iamcredentials.AllowedLocationsOfPool, aboutNothing(), nothing, anyQuery},
			{"iamcredentials.allowedLocations", http.MethodGet, workforcePath + "/allowedLocations", s.iamcredentials.AllowedLocationsOfPool, aboutNothing(), nothing, anyQuery},
		},
		Calls: []call{
			{"iamcredentials.generateAccessToken", credentialsV1 + "GenerateAccessToken", rpc.Unary(s.iamcredentials.CallGenerateAccessToken), message, token.KindAccess},
			{"iamcredentials.generateIdToken", credentialsV1 + "GenerateIdToken", rpc.Unary(s.iamcredentials.CallGenerateIDToken), message, token.KindID},
			{"iamcredentials.signBlob", credentialsV1 + "SignBlob", rpc.Unary(s.iamcredentials.CallSignBlob), message, nothing},
			{"iamcredentials.signJwt", credentialsV1 + "SignJwt", rpc.Unary(s.iamcredentials.CallSignJWT), message, token.KindJWT},
		},
	}
}

// accounts is the IAM API, as far as it manages service accounts.
func (s surfaces) accounts() surface {
	account := about(s.accountInPath)
	return surface{
		Name: "iam", Hosts: []string{"iam.googleapis.com"},
		Dialect: googleapi.Dialect(), Guard: s.googleAPI, Watch: observed, Unknown: s.noMethod(),
		Routes: []route{
			{"iam.serviceAccounts.list", http.MethodGet, accountsPath, s.iamadmin.List, aboutNothing(), nothing, anyQuery},
			{"iam.serviceAccounts.create", http.MethodPost, accountsPath, s.iamadmin.Create, aboutNothing(), nothing, anyQuery},
			{"iam.serviceAccounts.get", http.MethodGet, accountPath, s.iamadmin.Get, account, nothing, anyQuery},
			{"iam.serviceAccounts.patch", http.MethodPatch, accountPath, s.iamadmin.Patch, account, nothing, anyQuery},
			{"iam.serviceAccounts.update", http.MethodPut, accountPath, s.iamadmin.Update, account, nothing, anyQuery},
			{"iam.serviceAccounts.delete", http.MethodDelete, accountPath, s.iamadmin.Delete, account, nothing, anyQuery},
			{"iam.serviceAccounts.undelete", http.MethodPost, accountPath + ":undelete", s.iamadmin.Undelete, account, nothing, anyQuery},
			{"iam.serviceAccounts.enable", http.MethodPost, accountPath + ":enable", s.iamadmin.Enable, account, nothing, anyQuery},
			{"iam.serviceAccounts.disable", http.MethodPost, accountPath + ":disable", s.iamadmin.Disable, account, nothing, anyQuery},
			{"iam.serviceAccounts.getIamPolicy", getOrPost, accountPath + ":getIamPolicy", s.iamadmin.GetIAMPolicy, account, nothing, anyQuery},
			{"iam.serviceAccounts.setIamPolicy", http.MethodPost, accountPath + ":setIamPolicy", s.iamadmin.SetIAMPolicy, account, nothing, anyQuery},
			{"iam.serviceAccounts.testIamPermissions", http.MethodPost, accountPath + ":testIamPermissions", s.iamadmin.TestIAMPermissions, account, nothing, anyQuery},
			{"iam.serviceAccounts.signBlob", http.MethodPost, accountPath + ":signBlob", s.iamcredentials.IAMSignBlob, account, nothing, anyQuery},
			{"iam.serviceAccounts.signJwt", http.MethodPost, accountPath + ":signJwt", s.iamcredentials.IAMSignJWT, account, token.KindJWT, anyQuery},
			{"iam.serviceAccounts.keys.list", http.MethodGet, accountPath + "/keys", s.iamadmin.ListKeys, account, nothing, anyQuery},
			{"iam.serviceAccounts.keys.create", http.MethodPost, accountPath + "/keys", s.iamadmin.CreateKey, account, nothing, anyQuery},
			{"iam.serviceAccounts.keys.upload", http.MethodPost, accountPath + "/keys:upload", s.iamadmin.UploadKey, account, nothing, anyQuery},
			{"iam.serviceAccounts.keys.get", http.MethodGet, keyPath, s.iamadmin.GetKey, account, nothing, anyQuery},
			{"iam.serviceAccounts.keys.delete", http.MethodDelete, keyPath, s.iamadmin.DeleteKey, account, nothing, anyQuery},
			{"iam.serviceAccounts.keys.enable", http.MethodPost, keyPath + ":enable", s.iamadmin.EnableKey, account, nothing, anyQuery},
			{"iam.serviceAccounts.keys.disable", http.MethodPost, keyPath + ":disable", s.iamadmin.DisableKey, account, nothing, anyQuery},
		},
	}
}

// roles is the IAM API, as far as it is about roles and permissions.
func (s surfaces) roles() surface {
	return surface{
		Name: "iam roles", Hosts: []string{"iam.googleapis.com"},
		Dialect: googleapi.Dialect(), Guard: s.googleAPI, Watch: observed, Unknown: s.noMethod(),
		Routes: []route{
			{"iam.roles.list", http.MethodGet, "/v1/roles", s.iamroles.ListPredefined, aboutNothing(), nothing, anyQuery},
			{"iam.roles.get", http.MethodGet, "/v1/roles/{role:[^/:]+}", s.iamroles.GetPredefined, aboutNothing(), nothing, anyQuery},
			{"iam.roles.queryGrantableRoles", http.MethodPost, "/v1/roles:queryGrantableRoles", s.iamroles.QueryGrantable, aboutNothing(), nothing, anyQuery},
			{"iam.permissions.queryTestablePermissions", http.MethodPost, "/v1/permissions:queryTestablePermissions", s.iamroles.QueryTestable, aboutNothing(), nothing, anyQuery},
			{"iam.projects.roles.list", http.MethodGet, rolesPath, s.iamroles.List, aboutNothing(), nothing, anyQuery},
			{"iam.projects.roles.create", http.MethodPost, rolesPath, s.iamroles.Create, aboutNothing(), nothing, anyQuery},
			{"iam.projects.roles.get", http.MethodGet, rolePath, s.iamroles.Get, aboutNothing(), nothing, anyQuery},
			{"iam.projects.roles.patch", http.MethodPatch, rolePath, s.iamroles.Patch, aboutNothing(), nothing, anyQuery},
			{"iam.projects.roles.delete", http.MethodDelete, rolePath, s.iamroles.Delete, aboutNothing(), nothing, anyQuery},
			{"iam.projects.roles.undelete", http.MethodPost, rolePath + ":undelete", s.iamroles.Undelete, aboutNothing(), nothing, anyQuery},
		},
	}
}

// pools is the IAM API, as far as it manages workload identity pools and their providers.
func (s surfaces) pools() surface {
	return surface{
		Name: "iam workload identity pools", Hosts: []string{"iam.googleapis.com"},
		Dialect: googleapi.Dialect(), Guard: s.googleAPI, Watch: observed, Unknown: s.noMethod(),
		Routes: []route{
			{"iam.workloadIdentityPools.list", http.MethodGet, poolsPath, s.iampools.ListPools, aboutNothing(), nothing, anyQuery},
			{"iam.workloadIdentityPools.create", http.MethodPost, poolsPath, s.iampools.CreatePool, aboutNothing(), nothing, anyQuery},
			{"iam.workloadIdentityPools.get", http.MethodGet, poolPath, s.iampools.GetPool, aboutNothing(), nothing, anyQuery},
			{"iam.workloadIdentityPools.patch", http.MethodPatch, poolPath, s.iampools.PatchPool, aboutNothing(), nothing, anyQuery},
			{"iam.workloadIdentityPools.delete", http.MethodDelete, poolPath, s.iampools.DeletePool, aboutNothing(), nothing, anyQuery},
			{"iam.workloadIdentityPools.undelete", http.MethodPost, poolPath + ":undelete", s.iampools.UndeletePool, aboutNothing(), nothing, anyQuery},
			{"iam.workloadIdentityPools.operations.get", http.MethodGet, poolPath + poolOperation, s.iampools.PoolOperation, aboutNothing(), nothing, anyQuery},
			{"iam.workloadIdentityPools.providers.list", http.MethodGet, providersPath, s.iampools.ListProviders, aboutNothing(), nothing, anyQuery},
			{"iam.workloadIdentityPools.providers.create", http.MethodPost, providersPath, s.iampools.CreateProvider, aboutNothing(), nothing, anyQuery},
			{"iam.workloadIdentityPools.providers.get", http.MethodGet, providerPath, s.iampools.GetProvider, aboutNothing(), nothing, anyQuery},
			{"iam.workloadIdentityPools.providers.patch", http.MethodPatch, providerPath, s.iampools.PatchProvider, aboutNothing(), nothing, anyQuery},
			{"iam.workloadIdentityPools.providers.delete", http.MethodDelete, providerPath, s.iampools.DeleteProvider, aboutNothing(), nothing, anyQuery},
			{"iam.workloadIdentityPools.providers.undelete", http.MethodPost, providerPath + ":undelete", s.iampools.UndeleteProvider, aboutNothing(), nothing, anyQuery},
			{"iam.workloadIdentityPools.providers.operations.get", http.MethodGet, providerPath + poolOperation, s.iampools.ProviderOperation, aboutNothing(), nothing, anyQuery},
		},
	}
}

// resources is the Resource Manager API, as far as it has projects and their policies.
func (s surfaces) resources() surface {
	return surface{
		Name: "resourcemanager", Hosts: []string{"cloudresourcemanager.googleapis.com"},
		Dialect: googleapi.Dialect(), Guard: s.googleAPI, Watch: observed, Unknown: s.noMethod(),
		Routes: []route{
			{"resourcemanager.projects.getIamPolicy", getOrPost, projectV1 + ":getIamPolicy", s.projects.GetIAMPolicy, aboutNothing(), nothing, anyQuery},
			{"resourcemanager.projects.getIamPolicy", getOrPost, projectV3 + ":getIamPolicy", s.projects.GetIAMPolicy, aboutNothing(), nothing, anyQuery},
			{"resourcemanager.projects.setIamPolicy", http.MethodPost, projectV1 + ":setIamPolicy", s.projects.SetIAMPolicy, aboutNothing(), nothing, anyQuery},
			{"resourcemanager.projects.setIamPolicy", http.MethodPost, projectV3 + ":setIamPolicy", s.projects.SetIAMPolicy, aboutNothing(), nothing, anyQuery},
			{"resourcemanager.projects.testIamPermissions", http.MethodPost, projectV1 + ":testIamPermissions", s.projects.TestIAMPermissions, aboutNothing(), nothing, anyQuery},
			{"resourcemanager.projects.testIamPermissions", http.MethodPost, projectV3 + ":testIamPermissions", s.projects.TestIAMPermissions, aboutNothing(), nothing, anyQuery},
			{"resourcemanager.projects.getAncestry", http.MethodPost, projectV1 + ":getAncestry", s.projects.Ancestry, aboutNothing(), nothing, anyQuery},
			{"resourcemanager.projects.list", http.MethodGet, "/v1/projects", s.projects.List, aboutNothing(), nothing, anyQuery},
			{"resourcemanager.projects.list", http.MethodGet, "/v3/projects", s.projects.ListV3, aboutNothing(), nothing, anyQuery},
			{"resourcemanager.projects.search", http.MethodGet, "/v3/projects:search", s.projects.Search, aboutNothing(), nothing, anyQuery},
			{"resourcemanager.projects.get", http.MethodGet, projectV1, s.projects.Get, aboutNothing(), nothing, anyQuery},
			{"resourcemanager.projects.get", http.MethodGet, projectV3, s.projects.GetV3, aboutNothing(), nothing, anyQuery},
		},
	}
}

// machines is the part of the Compute Engine API that finds instances.
func (s surfaces) machines() surface {
	return surface{
		Name: "compute", Hosts: []string{"compute.googleapis.com", "www.googleapis.com"},
		Dialect: compute.Dialect(), Guard: s.googleAPI, Watch: observed, Unknown: s.noMethod(),
		Routes: []route{
			{"compute.instances.list", http.MethodGet, zonePath + "/instances", s.compute.List, aboutNothing(), nothing, anyQuery},
			{"compute.instances.aggregatedList", http.MethodGet, computePath + "/aggregated/instances", s.compute.AggregatedList, aboutNothing(), nothing, anyQuery},
			{"compute.instances.get", http.MethodGet, zonePath + "/instances/{instance}", s.compute.Get, aboutNothing(), nothing, anyQuery},
			{"compute.instanceGroups.list", http.MethodGet, groupsPath, s.compute.Groups, aboutNothing(), nothing, anyQuery},
			{"compute.instanceGroups.aggregatedList", http.MethodGet, computePath + "/aggregated/instanceGroups", s.compute.AggregatedGroups, aboutNothing(), nothing, anyQuery},
			{"compute.instanceGroups.get", http.MethodGet, groupsPath + "/{group}", s.compute.Group, aboutNothing(), nothing, anyQuery},
			{"compute.instanceGroups.listInstances", http.MethodPost, groupsPath + "/{group}/listInstances", s.compute.GroupInstances, aboutNothing(), nothing, anyQuery},
			{"compute.zones.list", http.MethodGet, computePath + "/zones", s.compute.Zones, aboutNothing(), nothing, anyQuery},
			{"compute.zones.get", http.MethodGet, zonePath, s.compute.Zone, aboutNothing(), nothing, anyQuery},
			{"compute.regions.list", http.MethodGet, computePath + "/regions", s.compute.Regions, aboutNothing(), nothing, anyQuery},
			{"compute.regions.get", http.MethodGet, computePath + "/regions/{region}", s.compute.Region, aboutNothing(), nothing, anyQuery},
			{"compute.projects.get", http.MethodGet, computePath, s.compute.Project, aboutNothing(), nothing, anyQuery},
		},
	}
}

// runServices is the Cloud Run Admin API, as far as it manages services.
func (s surfaces) runServices() surface {
	return surface{
		Name: "run", Hosts: []string{cloudrun.Host},
		Dialect: googleapi.Dialect(), Guard: s.googleAPI, Watch: observed, Unknown: s.noMethod(),
		Routes: []route{
			{"run.services.list", http.MethodGet, servicesV1, s.cloudrun.ListV1, aboutNothing(), nothing, anyQuery},
			{"run.services.list", http.MethodGet, knativePath, s.cloudrun.ListV1, aboutNothing(), nothing, anyQuery},
			{"run.services.list", http.MethodGet, servicesV2, s.cloudrun.List, aboutNothing(), nothing, anyQuery},
			{"run.services.get", http.MethodGet, servicesV1 + servicePath, s.cloudrun.GetV1, aboutNothing(), nothing, anyQuery},
			{"run.services.get", http.MethodGet, knativePath + servicePath, s.cloudrun.GetV1, aboutNothing(), nothing, anyQuery},
			{"run.services.get", http.MethodGet, servicesV2 + servicePath, s.cloudrun.Get, aboutNothing(), nothing, anyQuery},
			{"run.services.create", http.MethodPost, servicesV2, s.cloudrun.Create, aboutNothing(), nothing, anyQuery},
			{"run.services.patch", http.MethodPatch, servicesV2 + servicePath, s.cloudrun.Patch, aboutNothing(), nothing, anyQuery},
			{"run.services.delete", http.MethodDelete, servicesV2 + servicePath, s.cloudrun.Delete, aboutNothing(), nothing, anyQuery},
			{"run.services.getIamPolicy", http.MethodGet, servicesV1 + servicePath + ":getIamPolicy", s.cloudrun.GetIAMPolicy, aboutNothing(), nothing, anyQuery},
			{"run.services.getIamPolicy", http.MethodGet, servicesV2 + servicePath + ":getIamPolicy", s.cloudrun.GetIAMPolicy, aboutNothing(), nothing, anyQuery},
			{"run.services.setIamPolicy", http.MethodPost, servicesV1 + servicePath + ":setIamPolicy", s.cloudrun.SetIAMPolicy, aboutNothing(), nothing, anyQuery},
			{"run.services.setIamPolicy", http.MethodPost, servicesV2 + servicePath + ":setIamPolicy", s.cloudrun.SetIAMPolicy, aboutNothing(), nothing, anyQuery},
			{"run.services.testIamPermissions", http.MethodPost, servicesV1 + servicePath + ":testIamPermissions", s.cloudrun.TestIAMPermissions, aboutNothing(), nothing, anyQuery},
			{"run.services.testIamPermissions", http.MethodPost, servicesV2 + servicePath + ":testIamPermissions", s.cloudrun.TestIAMPermissions, aboutNothing(), nothing, anyQuery},
			{"run.operations.get", http.MethodGet, operationPath, s.cloudrun.Operation, aboutNothing(), nothing, anyQuery},
			{"run.operations.wait", http.MethodPost, operationPath + ":wait", s.cloudrun.Operation, aboutNothing(), nothing, anyQuery},
		},
	}
}

// probes is the part of the control plane that an orchestrator asks, under any Host.
func (s surfaces) probes() surface {
	return surface{
		Name: "probes", Hosts: []string{controlName, probesName},
		Dialect: control.Dialect(), Guard: s.control.GuardProbe, Watch: unobserved, Unknown: fallback{control.Dialect(), s.control.GuardProbe(s.control.Unknown)},
		Routes: []route{
			{"control.livez", http.MethodGet, emulatorPath + "/livez", s.control.Live, aboutNothing(), nothing, anyQuery},
			{"control.readyz", http.MethodGet, emulatorPath + "/readyz", s.control.Ready, aboutNothing(), nothing, anyQuery},
			{"control.metrics", http.MethodGet, "/emulator/metrics", s.control.Metrics, aboutNothing(), nothing, noQuery},
		},
	}
}

// peers is the part of the control plane that other replicas ask, each replica for itself.
func (s surfaces) peers() surface {
	return surface{
		Name: "peers", Hosts: []string{peersName},
		Dialect: control.Dialect(), Guard: s.control.Guard, Watch: unobserved, Unknown: fallback{control.Dialect(), s.control.Guard(s.control.Unknown)},
		Routes: s.gathered(noQuery),
	}
}

// gathered returns the routes for the own state of each replica. choice is the parameter that chooses replicas.
func (s surfaces) gathered(choice query) []route {
	return []route{
		{"control.waiters", http.MethodGet, emulatorPath + "/waiters", s.control.Waiters, aboutNothing(), nothing, choice.also("limit")},
		{"control.faults.list", http.MethodGet, emulatorPath + "/faults", s.control.Faults, aboutNothing(), nothing, choice},
		{"control.requests.list", http.MethodGet, emulatorPath + "/requests", s.control.Requests, aboutNothing(), nothing, choice.also(exchanges() + " before expect limit")},
		{"control.requests.clear", http.MethodDelete, emulatorPath + "/requests", s.control.ClearRequests, aboutNothing(), nothing, choice},
	}
}

// controlPlane is the API with which a test or a developer drives the emulator.
func (s surfaces) controlPlane() surface {
	return surface{
		Name: "control", Hosts: []string{controlName},
		Dialect: control.Dialect(), Guard: s.control.Guard, Watch: unobserved, Unknown: fallback{control.Dialect(), page.Home(s.control.Guard, s.control.Guard(control.Parameters(nil, s.control.Unknown)))},
		Routes: append(s.gathered(ofReplica), []route{
			{"control.openapi", http.MethodGet, emulatorPath + "/openapi.json", s.control.OpenAPI, aboutNothing(), nothing, noQuery},
			{"control.state.get", http.MethodGet, emulatorPath + "/state", s.control.State, aboutNothing(), nothing, noQuery},
			{"control.state.set", http.MethodPut, emulatorPath + "/state", s.control.SetState, aboutNothing(), nothing, noQuery},
			{"control.instances", http.MethodGet, emulatorPath + "/instances", s.control.Instances, aboutNothing(), nothing, noQuery},
			{"control.metadata.get", http.MethodGet, entryPath, s.control.Metadata, aboutNothing(), nothing, noQuery},
			{"control.metadata.set", http.MethodPut, entryPath, s.control.SetMetadata, aboutNothing(), nothing, noQuery},
			{"control.metadata.delete", http.MethodDelete, entryPath, s.control.DeleteMetadata, aboutNothing(), nothing, noQuery},
			{"control.instances.events.list", http.MethodGet, eventsPath, s.control.InstanceEvents, aboutNothing(), nothing, noQuery},
			{"control.instances.events.play", http.MethodPost, eventsPath, s.control.PlayEvent, aboutNothing(), nothing, noQuery},
			{"control.instances.events.clear", http.MethodDelete, eventsPath, s.control.ClearEvents, aboutNothing(), nothing, noQuery},
			{"control.instances.events.cancel", http.MethodDelete, eventsPath + "/{event}", s.control.CancelEvent, aboutNothing(), nothing, noQuery},
			{"control.explain", http.MethodGet, emulatorPath + "/explain", s.control.ExplainLately, aboutNothing(), nothing, ofReplica},
			{"control.clock.get", http.MethodGet, emulatorPath + "/clock", s.control.Clock, aboutNothing(), nothing, noQuery},
			{"control.clock.set", http.MethodPut, emulatorPath + "/clock", s.control.SetClock, aboutNothing(), nothing, noQuery},
			{"control.clock.advance", http.MethodPost, emulatorPath + "/clock:advance", s.control.AdvanceClock, aboutNothing(), nothing, noQuery},
			{"control.faults.add", http.MethodPost, emulatorPath + "/faults", s.control.AddFault, aboutNothing(), nothing, noQuery},
			{"control.faults.clear", http.MethodDelete, emulatorPath + "/faults", s.control.ClearFaults, aboutNothing(), nothing, noQuery},
			{"control.faults.get", http.MethodGet, emulatorPath + "/faults/{fault}", s.control.Fault, aboutNothing(), nothing, noQuery},
			{"control.faults.remove", http.MethodDelete, emulatorPath + "/faults/{fault}", s.control.RemoveFault, aboutNothing(), nothing, noQuery},
			{"control.replicas", http.MethodGet, emulatorPath + "/replicas", s.control.Replicas, aboutNothing(), nothing, noQuery},
			{"control.routes", http.MethodGet, emulatorPath + "/routes", s.control.RouteNames, aboutNothing(), nothing, noQuery},
			{"control.events", http.MethodGet, emulatorPath + "/events", s.control.Events, aboutNothing(), nothing, exchanges()},
			{"control.reset", http.MethodPost, emulatorPath + "/reset", s.control.Reset, aboutNothing(), nothing, noQuery},
			{"control.ca", http.MethodGet, emulatorPath + "/ca.pem", s.control.Authority, aboutNothing(), nothing, noQuery},
			{"control.keys.list", http.MethodGet, emulatorPath + "/keys", s.control.Keys, aboutNothing(), nothing, noQuery},
			{"control.keys.rotate", http.MethodPost, emulatorPath + "/keys:rotate", s.control.RotateKeys, aboutNothing(), nothing, noQuery},
			{"control.tokens.mint", http.MethodPost, emulatorPath + "/tokens", s.control.Mint, aboutNothing(), toOrder, noQuery},
			{"control.tokens.verify", http.MethodPost, emulatorPath + "/tokens:verify", s.control.Verify, aboutNothing(), nothing, noQuery},
			{"control.tokens.principal", http.MethodPost, emulatorPath + "/tokens:principal", s.control.Principal, aboutNothing(), nothing, noQuery},
			{"control.iam.troubleshoot", http.MethodPost, emulatorPath + "/iam:troubleshoot", s.control.Troubleshoot, aboutNothing(), nothing, noQuery},
			{"control.services", http.MethodGet, emulatorPath + "/services", s.control.Services, aboutNothing(), nothing, noQuery},
			{"control.environment", http.MethodGet, emulatorPath + "/environment", s.control.Environment, aboutNothing(), nothing, "instance shell"},
			{"control.clients", http.MethodGet, emulatorPath + "/clients", s.control.Clients, aboutNothing(), nothing, noQuery},
			{"control.githubActions.token", http.MethodGet, emulatorPath + "/github-actions/token", s.control.GitHubToken, aboutNothing(), nothing, "api-version audience environment ref repository"},
			{"control.credentials", http.MethodGet, emulatorPath + "/credentials/{type}", s.control.Credentials, aboutNothing(), nothing, "account source url"},
		}...),
	}
}

// webPage is the control plane for people. It has the control plane's guard.
func (s surfaces) webPage() surface {
	return surface{
		Name: "page", Hosts: []string{controlName},
		Dialect: control.Dialect(), Guard: s.control.Guard, Watch: unobserved, Unknown: fallback{control.Dialect(), s.control.Guard(s.control.Unknown)},
		Routes: []route{
			{"page.overview", http.MethodGet, page.Root, s.page.Show("overview"), aboutNothing(), nothing, anyQuery},
			{"page.requests", getOrPost, page.Root + "requests", s.page.Show("requests"), aboutNothing(), nothing, anyQuery},
			{"page.tokens", getOrPost, page.Root + "tokens", s.page.Show("tokens"), aboutNothing(), nothing, anyQuery},
			{"page.metadata", getOrPost, page.Root + "metadata", s.page.Show("metadata"), aboutNothing(), nothing, anyQuery},
			{"page.faults", getOrPost, page.Root + "faults", s.page.Show("faults"), aboutNothing(), nothing, anyQuery},
			{"page.keys", getOrPost, page.Root + "keys", s.page.Show("keys"), aboutNothing(), nothing, anyQuery},
			{"page.iam", http.MethodGet, page.Root + "iam", s.page.Show("iam"), aboutNothing(), nothing, anyQuery},
			{"page.services", http.MethodGet, page.Root + "services", s.page.Show("services"), aboutNothing(), nothing, anyQuery},
			{"page.clients", http.MethodGet, page.Root + "clients", s.page.Show("clients"), aboutNothing(), nothing, anyQuery},
			{"page.style", http.MethodGet, page.Root + "style.css", page.Asset("style.css"), aboutNothing(), nothing, noQuery},
			{"page.script", http.MethodGet, page.Root + "live.js", page.Asset("live.js"), aboutNothing(), nothing, noQuery},
			{"page.icon", http.MethodGet, page.Root + "icon.svg", page.Asset("icon.svg"), aboutNothing(), nothing, noQuery},
		},
	}
}

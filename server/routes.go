package server

import (
	"net/http"
	"slices"

	"gcp-metadata-emulator/server/compute"
	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/iamadmin"
	"gcp-metadata-emulator/server/iamcredentials"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/oauth2"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/publishedkeys"
	"gcp-metadata-emulator/server/realcredentials"
	"gcp-metadata-emulator/server/resourcemanager"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/sts"
	"gcp-metadata-emulator/server/tokeninfo"
	"gcp-metadata-emulator/server/userinfo"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// surfaces are the APIs that the emulator plays.
type surfaces struct {
	metadata       *mds.Server
	oauth2         *oauth2.Server
	tokeninfo      *tokeninfo.Server
	userinfo       *userinfo.Server
	iamcredentials *iamcredentials.Server
	iamadmin       *iamadmin.Server
	projects       *resourcemanager.Server
	compute        *compute.Server
	sts            *sts.Server
	publishedKeys  *publishedkeys.Server
	control        *control.Server

	worlds      *store.Store[*world.World]
	observer    *observer
	credentials *realcredentials.Guard

	controlApart bool // the control plane is served under controlName alone
}

// route is one operation: what is called how, who answers and in which dialect.
type route struct {
	name    string // its label wherever operations are named
	method  string // or getOrPost
	path    string // a pattern of gorilla/mux for the whole path, or a first segment and "below"
	dialect wire.Dialect
	handle  wire.Handler
}

const (
	getOrPost   = "GET|POST"
	below       = "/..." // everything that begins with this segment
	entryPath   = "/emulator/v1/instances/{instance}/metadata/{path:.+}"
	eventsPath  = "/emulator/v1/instances/{instance}/events"
	accountPath = "/v1/projects/{project}/serviceAccounts/{account:[^/:]+}"

	accountsPath  = "/v1/projects/{project}/serviceAccounts"
	keyPath       = accountPath + "/keys/{key:[^/:]+}"
	projectPath   = "/projects/{project}"
	instancesPath = "/compute/v1/projects/{project}/zones/{zone}/instances"
	poolPath      = "/v1/projects/{project}/locations/global/workloadIdentityPools/{pool}"
	workforcePath = "/v1/locations/global/workforcePools/{pool}"
)

// routes is the table of everything that is served. The names of Google's methods are
// Google's. Routes that begin with the same segment are tried in this order: those that
// are asked for most come first.
func (s surfaces) routes() []route {
	metadata, oauth, keys, api := s.metadata.Dialect(), oauthapi.Dialect(), publishedkeys.Dialect(), googleapi.Dialect()
	exchange := sts.Dialect()
	return append([]route{
		{"mds.ping", getOrPost, "/", metadata, s.metadata.Ping},
		{"mds.metadata", getOrPost, "/computeMetadata" + below, metadata, s.metadata.Metadata},

		{"keys.jwks", http.MethodGet, "/oauth2/v3/certs", keys, s.publishedKeys.JWKS},
		{"keys.certs", http.MethodGet, "/oauth2/v1/certs", keys, s.publishedKeys.Certificates},
		{"keys.account.x509", http.MethodGet, "/service_accounts/v1/metadata/x509/{account}", keys, s.publishedKeys.AccountCertificates},
		{"keys.account.jwk", http.MethodGet, "/service_accounts/v1/metadata/jwk/{account}", keys, s.publishedKeys.AccountJWKS},
		{"keys.account.jwk", http.MethodGet, "/service_accounts/v1/jwk/{account}", keys, s.publishedKeys.AccountJWKS},
		{"keys.account.raw", http.MethodGet, "/service_accounts/v1/metadata/raw/{account}", keys, s.publishedKeys.AccountRaw},
		{"keys.account.x509", http.MethodGet, "/robot/v1/metadata/x509/{account}", keys, s.publishedKeys.AccountCertificates},
		{"keys.account.jwk", http.MethodGet, "/robot/v1/metadata/jwk/{account}", keys, s.publishedKeys.AccountJWKS},
		{"keys.iap.pem", http.MethodGet, "/iap/verify/public_key", keys, s.publishedKeys.IAPKeys},
		{"keys.iap.jwk", http.MethodGet, "/iap/verify/public_key-jwk", keys, s.publishedKeys.IAPJWKS},
		{"openid.configuration", http.MethodGet, "/.well-known/openid-configuration", keys, s.publishedKeys.Configuration},

		{"oauth2.token", http.MethodPost, "/token", oauth, s.oauth2.Token},
		{"oauth2.token", http.MethodPost, "/oauth2/{version:v3|v4}/token", oauth, s.oauth2.Token},
		{"oauth2.token", http.MethodPost, "/o/oauth2/token", oauth, s.oauth2.Token},
		{"oauth2.authorize", getOrPost, "/o/oauth2/auth", oauth, s.oauth2.Authorize},
		{"oauth2.authorize", getOrPost, "/o/oauth2/v2/auth", oauth, s.oauth2.Authorize},
		{"oauth2.deviceCode", http.MethodPost, "/device/code", oauth, s.oauth2.DeviceCode},
		{"oauth2.deviceCode", http.MethodPost, "/o/oauth2/device/code", oauth, s.oauth2.DeviceCode},
		{"oauth2.device", getOrPost, "/device", oauth, s.oauth2.Device},
		{"oauth2.revoke", getOrPost, "/revoke", oauth, s.oauth2.Revoke},
		{"oauth2.revoke", getOrPost, "/o/oauth2/revoke", oauth, s.oauth2.Revoke},
		{"oauth2.tokeninfo", getOrPost, "/tokeninfo", oauth, s.tokeninfo.Describe},
		{"oauth2.tokeninfo", getOrPost, "/oauth2/v3/tokeninfo", oauth, s.tokeninfo.Describe},
		{"oauth2.tokeninfo", getOrPost, "/oauth2/{version:v1|v2}/tokeninfo", oauth, s.tokeninfo.DescribeOld},
		{"oauth2.userinfo", getOrPost, "/oauth2/v3/userinfo", oauth, s.userinfo.Describe},
		{"oauth2.userinfo", getOrPost, "/v1/userinfo", oauth, s.userinfo.Describe},
		{"oauth2.userinfo", getOrPost, "/oauth2/{version:v1|v2}/userinfo", api, s.userinfo.DescribeOld},
		{"oauth2.userinfo", getOrPost, "/userinfo/v2/me", api, s.userinfo.DescribeOld},

		{"sts.token", http.MethodPost, "/v1/token", exchange, s.sts.Token},
		{"sts.introspect", http.MethodPost, "/v1/introspect", exchange, s.sts.Introspect},
		{"sts.oauthtoken", http.MethodPost, "/v1/oauthtoken", exchange, s.sts.OAuthToken},

		{"iamcredentials.generateAccessToken", http.MethodPost, accountPath + ":generateAccessToken", api, s.iamcredentials.GenerateAccessToken},
		{"iamcredentials.generateIdToken", http.MethodPost, accountPath + ":generateIdToken", api, s.iamcredentials.GenerateIDToken},
		{"iamcredentials.signBlob", http.MethodPost, accountPath + ":signBlob", api, s.iamcredentials.SignBlob},
		{"iamcredentials.signJwt", http.MethodPost, accountPath + ":signJwt", api, s.iamcredentials.SignJWT},
		{"iamcredentials.allowedLocations", http.MethodGet, accountPath + "/allowedLocations", api, s.iamcredentials.AllowedLocations},
		{"iamcredentials.allowedLocations", http.MethodGet, poolPath + "/allowedLocations", api, s.iamcredentials.AllowedLocationsOfPool},
		{"iamcredentials.allowedLocations", http.MethodGet, workforcePath + "/allowedLocations", api, s.iamcredentials.AllowedLocationsOfPool},
	}, slices.Concat(s.adminRoutes(), s.controlRoutes())...)
}

// controlRoutes are those of the control plane.
func (s surfaces) controlRoutes() []route {
	api := control.Dialect()
	return []route{
		{"control.openapi", http.MethodGet, "/emulator/v1/openapi.json", api, s.control.OpenAPI},
		{"control.livez", http.MethodGet, "/emulator/v1/livez", api, s.control.Live},
		{"control.readyz", http.MethodGet, "/emulator/v1/readyz", api, s.control.Ready},
		{"control.state.get", http.MethodGet, "/emulator/v1/state", api, s.control.State},
		{"control.state.set", http.MethodPut, "/emulator/v1/state", api, s.control.SetState},
		{"control.instances", http.MethodGet, "/emulator/v1/instances", api, s.control.Instances},
		{"control.metadata.get", http.MethodGet, entryPath, api, s.control.Metadata},
		{"control.metadata.set", http.MethodPut, entryPath, api, s.control.SetMetadata},
		{"control.metadata.delete", http.MethodDelete, entryPath, api, s.control.DeleteMetadata},
		{"control.instances.events.list", http.MethodGet, eventsPath, api, s.control.InstanceEvents},
		{"control.instances.events.play", http.MethodPost, eventsPath, api, s.control.PlayEvent},
		{"control.instances.events.clear", http.MethodDelete, eventsPath, api, s.control.ClearEvents},
		{"control.instances.events.cancel", http.MethodDelete, eventsPath + "/{event}", api, s.control.CancelEvent},
		{"control.waiters", http.MethodGet, "/emulator/v1/waiters", api, s.control.Waiters},
		{"control.clock.get", http.MethodGet, "/emulator/v1/clock", api, s.control.Clock},
		{"control.clock.set", http.MethodPut, "/emulator/v1/clock", api, s.control.SetClock},
		{"control.clock.advance", http.MethodPost, "/emulator/v1/clock:advance", api, s.control.AdvanceClock},
		{"control.faults.list", http.MethodGet, "/emulator/v1/faults", api, s.control.Faults},
		{"control.faults.add", http.MethodPost, "/emulator/v1/faults", api, s.control.AddFault},
		{"control.faults.clear", http.MethodDelete, "/emulator/v1/faults", api, s.control.ClearFaults},
		{"control.faults.get", http.MethodGet, "/emulator/v1/faults/{fault}", api, s.control.Fault},
		{"control.faults.remove", http.MethodDelete, "/emulator/v1/faults/{fault}", api, s.control.RemoveFault},
		{"control.requests.list", http.MethodGet, "/emulator/v1/requests", api, s.control.Requests},
		{"control.requests.clear", http.MethodDelete, "/emulator/v1/requests", api, s.control.ClearRequests},
		{"control.events", http.MethodGet, "/emulator/v1/events", api, s.control.Events},
		{"control.metrics", http.MethodGet, "/emulator/metrics", api, s.control.Metrics},
		{"control.reset", http.MethodPost, "/emulator/v1/reset", api, s.control.Reset},
		{"control.ca", http.MethodGet, "/emulator/v1/ca.pem", api, s.control.Authority},
		{"control.keys.list", http.MethodGet, "/emulator/v1/keys", api, s.control.Keys},
		{"control.keys.rotate", http.MethodPost, "/emulator/v1/keys:rotate", api, s.control.RotateKeys},
		{"control.tokens.mint", http.MethodPost, "/emulator/v1/tokens", api, s.control.Mint},
		{"control.tokens.verify", http.MethodPost, "/emulator/v1/tokens:verify", api, s.control.Verify},
		{"control.tokens.principal", http.MethodPost, "/emulator/v1/tokens:principal", api, s.control.Principal},
		{"control.credentials", http.MethodGet, "/emulator/v1/credentials/{type}", api, s.control.Credentials},
	}
}

// adminRoutes are those of the APIs that manage service accounts and policies, and of the
// resource to spend tokens on.
func (s surfaces) adminRoutes() []route {
	api, vm := googleapi.Dialect(), compute.Dialect()
	return []route{
		{"iam.serviceAccounts.list", http.MethodGet, accountsPath, api, s.iamadmin.List},
		{"iam.serviceAccounts.create", http.MethodPost, accountsPath, api, s.iamadmin.Create},
		{"iam.serviceAccounts.get", http.MethodGet, accountPath, api, s.iamadmin.Get},
		{"iam.serviceAccounts.patch", http.MethodPatch, accountPath, api, s.iamadmin.Patch},
		{"iam.serviceAccounts.update", http.MethodPut, accountPath, api, s.iamadmin.Update},
		{"iam.serviceAccounts.delete", http.MethodDelete, accountPath, api, s.iamadmin.Delete},
		{"iam.serviceAccounts.undelete", http.MethodPost, accountPath + ":undelete", api, s.iamadmin.Undelete},
		{"iam.serviceAccounts.enable", http.MethodPost, accountPath + ":enable", api, s.iamadmin.Enable},
		{"iam.serviceAccounts.disable", http.MethodPost, accountPath + ":disable", api, s.iamadmin.Disable},
		{"iam.serviceAccounts.getIamPolicy", getOrPost, accountPath + ":getIamPolicy", api, s.iamadmin.GetIAMPolicy},
		{"iam.serviceAccounts.setIamPolicy", http.MethodPost, accountPath + ":setIamPolicy", api, s.iamadmin.SetIAMPolicy},
		{"iam.serviceAccounts.testIamPermissions", http.MethodPost, accountPath + ":testIamPermissions", api, s.iamadmin.TestIAMPermissions},
		{"iam.serviceAccounts.keys.list", http.MethodGet, accountPath + "/keys", api, s.iamadmin.ListKeys},
		{"iam.serviceAccounts.keys.create", http.MethodPost, accountPath + "/keys", api, s.iamadmin.CreateKey},
		{"iam.serviceAccounts.keys.upload", http.MethodPost, accountPath + "/keys:upload", api, s.iamadmin.UploadKey},
		{"iam.serviceAccounts.keys.get", http.MethodGet, keyPath, api, s.iamadmin.GetKey},
		{"iam.serviceAccounts.keys.delete", http.MethodDelete, keyPath, api, s.iamadmin.DeleteKey},
		{"iam.serviceAccounts.keys.enable", http.MethodPost, keyPath + ":enable", api, s.iamadmin.EnableKey},
		{"iam.serviceAccounts.keys.disable", http.MethodPost, keyPath + ":disable", api, s.iamadmin.DisableKey},

		{"resourcemanager.projects.getIamPolicy", getOrPost, "/v1" + projectPath + ":getIamPolicy", api, s.projects.GetIAMPolicy},
		{"resourcemanager.projects.getIamPolicy", getOrPost, "/v3" + projectPath + ":getIamPolicy", api, s.projects.GetIAMPolicy},
		{"resourcemanager.projects.setIamPolicy", http.MethodPost, "/v1" + projectPath + ":setIamPolicy", api, s.projects.SetIAMPolicy},
		{"resourcemanager.projects.setIamPolicy", http.MethodPost, "/v3" + projectPath + ":setIamPolicy", api, s.projects.SetIAMPolicy},
		{"resourcemanager.projects.testIamPermissions", http.MethodPost, "/v1" + projectPath + ":testIamPermissions", api, s.projects.TestIAMPermissions},
		{"resourcemanager.projects.testIamPermissions", http.MethodPost, "/v3" + projectPath + ":testIamPermissions", api, s.projects.TestIAMPermissions},
		{"resourcemanager.projects.get", http.MethodGet, "/v1" + projectPath, api, s.projects.Get},
		{"resourcemanager.projects.get", http.MethodGet, "/v3" + projectPath, api, s.projects.GetV3},

		{"compute.instances.list", http.MethodGet, instancesPath, vm, s.compute.List},
		{"compute.instances.get", http.MethodGet, instancesPath + "/{instance}", vm, s.compute.Get},
	}
}

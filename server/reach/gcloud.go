package reach

import (
	"strings"

	"gcp-metadata-emulator/server/order"
	"gcp-metadata-emulator/server/router/hostname"
)

// overridePrefix begins the variables by which gcloud finds its APIs.
const overridePrefix = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"

// played returns the variables of the APIs that an emulator plays. gcloud joins an address and a path
// without a slash, so the final slashes are necessary.
func (t Target) played() []Variable {
	base := t.base()
	return []Variable{
		{overridePrefix + "CLOUDRESOURCEMANAGER", base + "/"},
		{overridePrefix + "COMPUTE", base + "/compute/v1/"},
		{overridePrefix + "IAM", base + "/"},
		{overridePrefix + "IAMCREDENTIALS", base + "/"},
		{overridePrefix + "RUN", t.runAPI() + "/"},
	}
}

// unplayed returns the variables of all other APIs. They lead to the emulator, which answers that it
// does not play the API, or to a neighbour, and never to Google. The caller may have another emulator
// for an API: if the caller has set a variable, it stays. Behind the proxy, the names of the APIs lead
// to the emulator by themselves.
func (t Target) unplayed() []Variable {
	if t.Proxy != nil {
		return nil
	}
	var variables []Variable
	for name := range strings.FieldsSeq(otherAPIs) {
		variable := overridePrefix + strings.ToUpper(name)
		if t.Preset == nil || t.Preset(variable) == "" {
			variables = append(variables, Variable{variable, t.base() + hostname.Path + addressOf(name)})
		}
	}
	return variables
}

// runAPI returns the address of Cloud Run's API for gcloud. To describe a service, gcloud puts the
// name of a region and a hyphen in front of the address's host. Such a name leads here through the
// proxy alone, and only if the address is Google's.
func (t Target) runAPI() string {
	if t.Proxy != nil {
		return "https://run.googleapis.com"
	}
	return t.base()
}

// gcloud returns the variables that keep gcloud from prompting, from contacting other servers, and
// from using its stored facts about other servers.
func (t Target) gcloud() []Variable {
	variables := []Variable{
		{"CLOUDSDK_CORE_DISABLE_PROMPTS", "1"},
		{"CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "true"},
		{"CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK", "true"},
		{"CLOUDSDK_SURVEY_DISABLE_PROMPTS", "1"},
	}
	if t.GcloudConfig != "" {
		variables = append(variables, Variable{"CLOUDSDK_CONFIG", t.GcloudConfig})
	}
	return variables
}

// addressOf returns the host of an API for gcloud, and the path below which its methods are.
func addressOf(name string) string {
	switch name {
	case "ai":
		name = "aiplatform"
	case "bigquery":
		return "bigquery.googleapis.com/bigquery/v2/"
	case "discovery":
		return "www.googleapis.com/discovery/v1/"
	case "dns":
		return "dns.googleapis.com/dns/v1/"
	case "remotebuildexecution":
		name = "admin-remotebuildexecution"
	case "sql":
		name = "sqladmin"
	case "storage":
		return "storage.googleapis.com/storage/v1/"
	case "transfer":
		name = "storagetransfer"
	}
	return strings.ReplaceAll(name, "_", "-") + ".googleapis.com/"
}

// OverriddenAPIs returns the names of the APIs that gcloud finds by a variable, and the variable of
// each, sorted.
func OverriddenAPIs() []Variable {
	var list []Variable
	for _, name := range append(strings.Fields(otherAPIs), "cloudresourcemanager", "compute", "iam", "iamcredentials", "run") {
		list = append(list, Variable{name, overridePrefix + strings.ToUpper(name)})
	}
	order.Sort(list, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// otherAPIs lists the properties of gcloud's section api_endpoint_overrides, as of version 528, for
// APIs that an emulator does not play.
const otherAPIs = `
	accessapproval accesscontextmanager ai aiplatform alloydb anthosevents anthospolicycontrollerstatus_pa apigateway
	apigee apihub apikeys appconfigmanager appengine apphub artifactregistry assuredworkloads auditmanager authztoolkit
	backupdr baremetalsolution batch beyondcorp bigquery bigquerymigration bigtableadmin binaryauthorization
	categorymanager certificatemanager cloudaicompanion cloudasset cloudbilling cloudbuild
	cloudcommerceconsumerprocurement clouddebugger clouddeploy clouderrorreporting cloudfunctions cloudidentity cloudkms
	cloudlocationfinder cloudnumberregistry cloudquotas cloudresourcesearch cloudscheduler cloudshell cloudtasks
	cloudtrace composer config configdelivery connectgateway container containeranalysis datacatalog dataflow datafusion
	datamigration datapipelines dataplex datapol dataproc dataprocgdc datastore datastream deploymentmanager designcenter
	developerconnect discovery dns domains edgecontainer edgenetwork eventarc eventarcpublishing faultinjectiontesting
	file firebasedataconnect firestore geminicloudassist genomics gkebackup gkehub gkemulticloud gkeonprem gkerecommender
	healthcare iap ids krmapihosting kubernetespolicy language lifesciences logging looker lustre managedflink
	managedidentities managedkafka manager marketplacesolutions mediaasset memcache memorystore messagestreams metastore
	ml modelarmor monitoring netapp networkconnectivity networkmanagement networksecurity networkservices notebooks
	observability ondemandscanning oracledatabase orglifecycle orgpolicy osconfig oslogin parallelstore parametermanager
	policyanalyzer policysimulator policytroubleshooter privateca privilegedaccessmanager publicca pubsub pubsublite
	recaptchaenterprise recommender redis remotebuildexecution replicapoolupdater runapps runtimeconfig saasservicemgmt
	sasportal sddc seclm secretmanager securesourcemanager securitycenter securitycentermanagement securityposture
	servicedirectory servicemanagement serviceregistry serviceusage source sourcerepo spanner speech sql storage
	storagebatchoperations storageinsights stream telcoautomation testing toolresults tpu transcoder transfer
	transferappliance vision vmmigration vmwareengine vpcaccess workflowexecutions workflows workloadcertificate
	workstations
`

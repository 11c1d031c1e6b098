package iam

// The permissions for calling a service
// (https://cloud.google.com/run/docs/reference/iam/permissions).
const (
	InvokeRoute    = "run.routes.invoke"
	InvokeFunction = "cloudfunctions.functions.invoke"
	AccessViaIAP   = "iap.webServiceVersions.accessViaIAP"
)

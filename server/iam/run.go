package iam

// The permissions for calling a service
// (https://cloud.google.com/run/docs/reference/iam/permissions).
const (
	InvokeRoute    = "run.routes.invoke"
	InvokeFunction = "cloudfunctions.functions.invoke"
	AccessViaIAP   = "iap.webServiceVersions.accessViaIAP"
)

// serving returns the permissions of the roles for services.
func serving(role string) []string {
	switch role {
	case "roles/run.invoker":
		return []string{InvokeRoute}
	case "roles/run.servicesInvoker":
		return []string{InvokeRoute}
	case "roles/run.admin":
		return []string{"run.*"}
	case "roles/run.developer":
		return []string{"run.services.create", "run.services.delete", "run.services.get", "run.services.getIamPolicy", "run.services.list", "run.services.update"}
	case "roles/run.viewer":
		return []string{"run.services.get", "run.services.getIamPolicy", "run.services.list"}
	case "roles/cloudfunctions.invoker":
		return []string{InvokeFunction}
	case "roles/cloudfunctions.admin":
		return []string{"cloudfunctions.*"}
	case "roles/iap.httpsResourceAccessor":
		return []string{AccessViaIAP}
	default:
		return nil
	}
}

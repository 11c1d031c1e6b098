package iam

import (
	"cmp"
	"slices"
)

// predefined returns Google's roles for the APIs that the emulator implements or guards, sorted by name. They
// have only the permissions that the emulator checks (https://cloud.google.com/iam/docs/roles-permissions).
// The basic roles do not contain the permissions to issue credentials: not even an owner has them.
func predefined() []*Role {
	roles := slices.Concat(basicRoles(), accountRoles(), federationRoles(), servingRoles(), storageRoles(), pubSubRoles(), otherRoles())
	for _, role := range roles {
		role.Stage = GA
		slices.Sort(role.Permissions)
		role.Permissions = slices.Compact(role.Permissions)
	}
	slices.SortFunc(roles, func(a, b *Role) int { return cmp.Compare(a.Name, b.Name) })
	return roles
}

// of returns the permissions for some actions on one kind of resource.
func of(resource string, actions ...string) []string {
	permissions := make([]string, len(actions))
	for i, action := range actions {
		permissions[i] = resource + "." + action
	}
	return permissions
}

// Kinds of resources, as permissions begin.
const (
	accounts  = "iam.serviceAccounts"
	keyFiles  = "iam.serviceAccountKeys"
	customs   = "iam.roles"
	pools     = "iam.workloadIdentityPools"
	providers = "iam.workloadIdentityPoolProviders"
	projects  = "resourcemanager.projects"
	instances = "compute.instances"
	services  = "run.services"
)

// basicRoles are the roles that Google has for all of a project.
func basicRoles() []*Role {
	viewer := slices.Concat(
		of(accounts, "get", "list", "getIamPolicy"), of(keyFiles, "get", "list"), of(customs, "get", "list"), viewFederation(),
		viewMachines(), of(projects, "get", "getIamPolicy"), viewServices(), viewStorage(), viewPubSub(),
	)
	editor := slices.Concat(
		viewer, manageAccounts(), manageKeys(), of(accounts, "actAs"), []string{InvokeRoute, InvokeFunction, LogIn, LogInAsAdmin},
		of(services, "create", "delete", "update"), editStorage(), editPubSub(),
	)
	owner := slices.Concat(
		editor, of(accounts, "setIamPolicy"), of(projects, "setIamPolicy"), of(services, "setIamPolicy"), manageRoles(), manageFederation(),
		of(buckets, "setIamPolicy"), setPubSubPolicies(),
	)
	return []*Role{
		{Name: "roles/viewer", Title: "Viewer", Description: "View most Google Cloud resources.", Permissions: viewer},
		{Name: "roles/editor", Title: "Editor", Description: "View, create, update, and delete most Google Cloud resources.", Permissions: editor},
		{Name: "roles/owner", Title: "Owner", Description: "Full access to most Google Cloud resources.", Permissions: owner},
	}
}

// isBasic reports whether a role is a basic role.
func isBasic(role string) bool {
	return slices.Contains([]string{"roles/viewer", "roles/editor", "roles/owner"}, role)
}

// accountRoles are the roles for service accounts and their keys.
func accountRoles() []*Role {
	read := of(accounts, "get", "list")
	return []*Role{
		{
			Name: "roles/iam.serviceAccountTokenCreator", Title: "Service Account Token Creator", Description: "Impersonate service accounts (create OAuth2 access tokens, sign blobs or JWTs, etc).",
			Permissions: append([]string{GetAccessToken, GetOpenIDToken, SignBlob, SignJWT, ImplicitDelegation}, read...),
		},
		{
			Name: "roles/iam.serviceAccountOpenIdTokenCreator", Title: "Service Account OpenID Connect Identity Token Creator",
			Description: "Create OpenID Connect (OIDC) identity tokens", Permissions: []string{GetOpenIDToken},
		},
		{
			Name: "roles/iam.workloadIdentityUser", Title: "Workload Identity User", Description: "Impersonate service accounts from federated workloads.",
			Permissions: append([]string{GetAccessToken, GetOpenIDToken}, read...),
		},
		{
			Name: "roles/iam.serviceAccountUser", Title: "Service Account User", Description: "Run operations as the service account.",
			Permissions: of(accounts, "actAs", "get", "list"),
		},
		{
			Name: "roles/iam.serviceAccountAdmin", Title: "Service Account Admin", Description: "Create and manage service accounts.",
			Permissions: append(manageAccounts(), of(accounts, "getIamPolicy", "setIamPolicy")...),
		},
		{
			Name: "roles/iam.serviceAccountCreator", Title: "Create Service Accounts", Description: "Access to create service accounts.",
			Permissions: of(accounts, "create", "get", "list"),
		},
		{
			Name: "roles/iam.serviceAccountDeleter", Title: "Delete Service Accounts", Description: "Access to delete service accounts.",
			Permissions: of(accounts, "delete", "get", "list"),
		},
		{
			Name: "roles/iam.serviceAccountKeyAdmin", Title: "Service Account Key Admin", Description: "Create and manage (and rotate) service account keys.",
			Permissions: append(manageKeys(), read...),
		},
		{
			Name: "roles/iam.serviceAccountViewer", Title: "View Service Accounts",
			Description: "Read access to service accounts, metadata, and keys.", Permissions: reviewAccounts(),
		},
	}
}

// federationRoles are the roles for workload identity pools and for custom roles.
func federationRoles() []*Role {
	return []*Role{
		{
			Name: "roles/iam.workloadIdentityPoolAdmin", Title: "IAM Workload Identity Pool Admin", Description: "Full rights to create and manage workload identity pools.",
			Permissions: append(manageFederation(), of(projects, "get")...),
		},
		{
			Name: "roles/iam.workloadIdentityPoolViewer", Title: "IAM Workload Identity Pool Viewer", Description: "Read access to workload identity pools.",
			Permissions: append(viewFederation(), of(projects, "get")...),
		},
		{
			Name: "roles/iam.roleAdmin", Title: "Role Administrator", Description: "Access to administer all custom roles in the project.",
			Permissions: append(manageRoles(), of(projects, "get", "getIamPolicy")...),
		},
		{
			Name: "roles/iam.roleViewer", Title: "Role Viewer", Description: "Provides read access to all custom roles in the project.",
			Permissions: append(of(customs, "get", "list"), of(projects, "get", "getIamPolicy")...),
		},
	}
}

// servingRoles are the roles for services and for calling them.
func servingRoles() []*Role {
	manage := append(viewServices(), of(services, "create", "delete", "update")...)
	return []*Role{
		{Name: "roles/run.invoker", Title: "Cloud Run Invoker", Description: "Can invoke Cloud Run services and execute Cloud Run jobs.", Permissions: []string{InvokeRoute}},
		{Name: "roles/run.servicesInvoker", Title: "Cloud Run Service Invoker", Description: "Can invoke Cloud Run services.", Permissions: []string{InvokeRoute}},
		{
			Name: "roles/run.admin", Title: "Cloud Run Admin", Description: "Full control over all Cloud Run resources.",
			Permissions: slices.Concat(manage, of(services, "setIamPolicy"), []string{InvokeRoute}),
		},
		{
			Name: "roles/run.developer", Title: "Cloud Run Developer", Description: "Read and write access to all Cloud Run resources.",
			Permissions: manage,
		},
		{Name: "roles/run.viewer", Title: "Cloud Run Viewer", Description: "Can view the state of all Cloud Run resources, including IAM policies.", Permissions: viewServices()},
		{Name: "roles/cloudfunctions.invoker", Title: "Cloud Functions Invoker", Description: "Ability to invoke 1st gen HTTP functions with restricted access.", Permissions: []string{InvokeFunction}},
		{
			Name: "roles/cloudfunctions.admin", Title: "Cloud Functions Admin", Description: "Full access to functions, operations and locations.",
			Permissions: slices.Concat(manage, of(services, "setIamPolicy"), []string{InvokeFunction, InvokeRoute}, of(projects, "get")),
		},
		{
			Name: "roles/cloudfunctions.developer", Title: "Cloud Functions Developer", Description: "Read and write access to all functions-related resources.",
			Permissions: slices.Concat(manage, []string{InvokeFunction, InvokeRoute}, of(projects, "get")),
		},
		{
			Name: "roles/cloudfunctions.viewer", Title: "Cloud Functions Viewer", Description: "Read-only access to functions and locations.",
			Permissions: append(viewServices(), of(projects, "get")...),
		},
		{
			Name: "roles/run.sourceDeveloper", Title: "Cloud Run Source Developer", Description: "Deploy and manage Cloud Run source deployed resources.",
			Permissions: slices.Concat(manage, []string{InvokeRoute}, of(projects, "get"), of(buckets, "create", "get", "list"), of(objects, "create", "get", "list"), editPubSub()),
		},
		{
			Name: "roles/iap.httpsResourceAccessor", Title: "IAP-secured Web App User", Description: "Provides permission to access HTTPS resources which use Identity-Aware Proxy.",
			Permissions: []string{AccessViaIAP},
		},
	}
}

// viewMachines returns the permissions to see virtual machines and their places.
func viewMachines() []string {
	return slices.Concat(
		of(instances, "get", "list"), of("compute.instanceGroups", "get", "list"), of("compute.zones", "get", "list"),
		of("compute.regions", "get", "list"), of("compute.projects", "get"),
	)
}

// otherRoles are the roles for virtual machines and for the project itself.
func otherRoles() []*Role {
	machines := func() []string { return append(viewMachines(), of(projects, "get")...) }
	manage := func() []string { return append(machines(), LogIn, LogInAsAdmin) }
	login := func(permissions ...string) []string { return append(of(instances, "get", "list"), permissions...) }
	return []*Role{
		{Name: "roles/compute.viewer", Title: "Compute Viewer", Description: "Read-only access to get and list Compute Engine resources.", Permissions: machines()},
		{Name: "roles/compute.instanceAdmin.v1", Title: "Compute Instance Admin (v1)", Description: "Full control of Compute Engine instances, instance groups, disks, snapshots, and images.", Permissions: manage()},
		{Name: "roles/compute.admin", Title: "Compute Admin", Description: "Full control of all Compute Engine resources.", Permissions: manage()},
		{Name: "roles/compute.osLogin", Title: "Compute OS Login", Description: "Access to log in to a Compute Engine instance as a standard user.", Permissions: login(LogIn)},
		{
			Name: "roles/compute.osAdminLogin", Title: "Compute OS Admin Login", Description: "Access to log in to a Compute Engine instance as an administrator user.",
			Permissions: login(LogIn, LogInAsAdmin),
		},
		{Name: "roles/browser", Title: "Browser", Description: "Access to browse Google Cloud resources.", Permissions: of(projects, "get", "getIamPolicy")},
		{
			Name: "roles/resourcemanager.projectIamAdmin", Title: "Project IAM Admin", Description: "Access and administer a project's IAM policies.",
			Permissions: of(projects, "get", "getIamPolicy", "setIamPolicy"),
		},
		{
			Name: "roles/iam.securityReviewer", Title: "Security Reviewer", Description: "Permissions to list all resources and IAM policies on them.",
			Permissions: append(reviewAccounts(), of(customs, "get", "list")...),
		},
		{
			Name: "roles/iam.securityAdmin", Title: "Security Admin", Description: "Permissions to get and set any IAM policy.",
			Permissions: slices.Concat(
				of(accounts, "get", "list", "getIamPolicy", "setIamPolicy"), of(projects, "get", "getIamPolicy", "setIamPolicy"), of(customs, "get", "list"),
			),
		},
	}
}

func manageAccounts() []string {
	return of(accounts, "create", "delete", "disable", "enable", "get", "list", "undelete", "update")
}

func manageKeys() []string {
	return of(keyFiles, "create", "delete", "disable", "enable", "get", "list")
}

func manageRoles() []string {
	return of(customs, "create", "delete", "get", "list", "undelete", "update")
}

func manageFederation() []string {
	actions := []string{"create", "delete", "get", "list", "undelete", "update"}
	return append(of(pools, actions...), of(providers, actions...)...)
}

func viewFederation() []string {
	return append(of(pools, "get", "list"), of(providers, "get", "list")...)
}

func viewServices() []string {
	return append(of(services, "get", "getIamPolicy", "list"), of("run.operations", "get")...)
}

func reviewAccounts() []string {
	return slices.Concat(of(accounts, "get", "list", "getIamPolicy"), of(keyFiles, "get", "list"), of(projects, "getIamPolicy"))
}

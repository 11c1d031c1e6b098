package iam

import (
	"slices"
	"strings"
)

// The permissions that minting credentials for a service account takes
// (https://cloud.google.com/iam/docs/service-account-permissions).
const (
	GetAccessToken     = "iam.serviceAccounts.getAccessToken"
	GetOpenIDToken     = "iam.serviceAccounts.getOpenIdToken"
	SignBlob           = "iam.serviceAccounts.signBlob"
	SignJWT            = "iam.serviceAccounts.signJwt"
	ImplicitDelegation = "iam.serviceAccounts.implicitDelegation"
)

// Includes tells whether a role contains a permission. Roles that are not known, custom
// ones among them, contain none.
//
// The predefined roles are cut down to the permissions that something here asks for
// (https://cloud.google.com/iam/docs/roles-permissions). The basic roles do not contain
// the permissions to mint credentials: not even an owner may.
func Includes(role, permission string) bool {
	return slices.ContainsFunc(patterns(role), func(pattern string) bool {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix(permission, prefix)
		}
		return pattern == permission
	})
}

// patterns are the permissions of a role; one that ends in "*" stands for all that begin so.
func patterns(role string) []string {
	switch role {
	case "roles/iam.serviceAccountTokenCreator":
		return []string{GetAccessToken, GetOpenIDToken, SignBlob, SignJWT, ImplicitDelegation, "iam.serviceAccounts.get", "iam.serviceAccounts.list"}
	case "roles/iam.serviceAccountOpenIdTokenCreator":
		return []string{GetOpenIDToken}
	case "roles/iam.workloadIdentityUser":
		return []string{GetAccessToken, GetOpenIDToken, "iam.serviceAccounts.get", "iam.serviceAccounts.list"}
	case "roles/iam.serviceAccountUser":
		return []string{"iam.serviceAccounts.actAs", "iam.serviceAccounts.get", "iam.serviceAccounts.list"}
	case "roles/compute.viewer", "roles/compute.instanceAdmin.v1", "roles/compute.admin":
		return []string{"compute.instances.get", "compute.instances.list", "resourcemanager.projects.get"}
	case "roles/browser":
		return []string{"resourcemanager.projects.get", "resourcemanager.projects.getIamPolicy"}
	case "roles/resourcemanager.projectIamAdmin":
		return []string{"resourcemanager.projects.get", "resourcemanager.projects.getIamPolicy", "resourcemanager.projects.setIamPolicy"}
	default:
		return slices.Concat(administrative(role), serving(role), basic(role))
	}
}

// administrative are the roles for managing service accounts and their keys.
func administrative(role string) []string {
	switch role {
	case "roles/iam.serviceAccountAdmin":
		return append(manageAccounts(), "iam.serviceAccounts.getIamPolicy", "iam.serviceAccounts.setIamPolicy")
	case "roles/iam.serviceAccountCreator":
		return []string{"iam.serviceAccounts.create", "iam.serviceAccounts.get", "iam.serviceAccounts.list"}
	case "roles/iam.serviceAccountDeleter":
		return []string{"iam.serviceAccounts.delete", "iam.serviceAccounts.get", "iam.serviceAccounts.list"}
	case "roles/iam.serviceAccountKeyAdmin":
		return []string{"iam.serviceAccountKeys.*", "iam.serviceAccounts.get", "iam.serviceAccounts.list"}
	case "roles/iam.serviceAccountViewer", "roles/iam.securityReviewer":
		return []string{
			"iam.serviceAccounts.get", "iam.serviceAccounts.list", "iam.serviceAccounts.getIamPolicy",
			"iam.serviceAccountKeys.get", "iam.serviceAccountKeys.list", "resourcemanager.projects.getIamPolicy",
		}
	case "roles/iam.securityAdmin":
		return []string{
			"iam.serviceAccounts.get", "iam.serviceAccounts.list", "iam.serviceAccounts.getIamPolicy", "iam.serviceAccounts.setIamPolicy",
			"resourcemanager.projects.get", "resourcemanager.projects.getIamPolicy", "resourcemanager.projects.setIamPolicy",
		}
	default:
		return nil
	}
}

// basic are the roles of a whole project.
func basic(role string) []string {
	viewer := []string{
		"iam.serviceAccounts.get", "iam.serviceAccounts.list", "iam.serviceAccounts.getIamPolicy",
		"iam.serviceAccountKeys.get", "iam.serviceAccountKeys.list",
		"compute.instances.get", "compute.instances.list", "resourcemanager.projects.get", "resourcemanager.projects.getIamPolicy",
		"run.services.get", "run.services.getIamPolicy", "run.services.list",
	}
	editor := slices.Concat(viewer, manageAccounts(), []string{
		"iam.serviceAccountKeys.*", "iam.serviceAccounts.actAs",
		InvokeRoute, InvokeFunction, "run.services.create", "run.services.delete", "run.services.update",
	})
	switch role {
	case "roles/viewer":
		return viewer
	case "roles/editor":
		return editor
	case "roles/owner":
		return append(editor, "iam.serviceAccounts.setIamPolicy", "resourcemanager.projects.setIamPolicy", "run.services.setIamPolicy")
	default:
		return nil
	}
}

func manageAccounts() []string {
	return []string{
		"iam.serviceAccounts.create", "iam.serviceAccounts.delete", "iam.serviceAccounts.disable", "iam.serviceAccounts.enable",
		"iam.serviceAccounts.get", "iam.serviceAccounts.list", "iam.serviceAccounts.undelete", "iam.serviceAccounts.update",
	}
}

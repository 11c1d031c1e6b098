package mds

import (
	"errors"
	"fmt"
	"net/http"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/wire"
)

// impersonate answers a pod with a token for the Google service account of its annotation, if the
// policies allow it for the pod's Kubernetes service account. GKE's metadata server gets such tokens
// from the IAM Credentials API with a token of the pod
// (https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity).
func (s *Server) impersonate(r *http.Request, n *node, t *tree, q *query) (wire.Response, error) {
	what, permission := "access token", iam.GetAccessToken
	if n.kind == identityEndpoint {
		what, permission = "ID token", iam.GetOpenIDToken
	}
	ctx, refusal := journal.Watched(r.Context())
	pod := s.worlds.Load().State.KubernetesPrincipal(n.account.Impersonator)
	err := s.callers.As(ctx, pod).Need(permission, n.account.Account)
	if refusal.Reason != "" {
		refusal.Hint = fmt.Sprintf("bind it with: gcloud iam service-accounts add-iam-policy-binding %s --role roles/iam.workloadIdentityUser --member %q",
			n.account.Email, pod.Member())
	}
	if denied, ok := errors.AsType[*googleapi.Error](err); ok {
		refused := t.profile.say(r, http.StatusForbidden, notBound(what, denied.Message))
		refused.Refusal = refusal
		return refused, nil
	}
	response, err := s.grant(r, n, t, q)
	if response.Refusal == nil && refusal.Reason != "" { // policies are only audited
		response.Refusal = refusal
	}
	return response, err
}

// notBound returns GKE's error for a pod whose Kubernetes service account lacks a role on the account of
// its annotation. The text about ID tokens is an assumption.
func notBound(what, denied string) string {
	return fmt.Sprintf("Unable to generate %s; IAM returned 403 Forbidden: %s\n"+
		"This error could be caused by a missing IAM policy binding on the target IAM service account.\n"+
		"For more information, refer to the Workload Identity documentation:\n"+
		"\thttps://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity#authenticating_to\n\n", what, denied)
}

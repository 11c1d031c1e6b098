package sts_test

import (
	"context"
	"crypto"
	"maps"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/iam"
)

const (
	cluster   = "https://container.googleapis.com/v1/projects/my-project/locations/us-east1/clusters/prod"
	namespace = "identitynamespace:my-project.svc.id.goog:"
)

// kubernetes returns the claims of a token of a Kubernetes service account, with changes.
func kubernetes(changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": cluster, "aud": []string{"my-project.svc.id.goog"}, "sub": "system:serviceaccount:web:front",
		"kubernetes.io": map[string]any{"namespace": "web", "serviceaccount": map[string]any{"name": "front", "uid": "u-1"}},
	}
	maps.Copy(claims, changes)
	return claims
}

func TestClusterTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const unknown = `The target service indicated by the "audience" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn't exist.`
	const malformed = `Invalid value for "audience". This value should be the full resource name of the Identity Provider. See https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token for the list of possible formats.`
	noSubject := failure("unauthorized_client", "The mapped attribute 'google.subject' must be of type STRING.")
	for name, test := range map[string]struct {
		audience string
		changes  map[string]any
		want     string
	}{
		"another audience": {namespace + cluster, map[string]any{"aud": "https:" + audience}, failure("invalid_grant", "The audience in ID Token [https:"+audience+"] does not match the expected audience.")},
		"another cluster's token": {
			namespace + cluster,
			map[string]any{"iss": cluster + "2"},
			failure("invalid_grant", "The issuer in ID Token "+cluster+"2 does not match the expected one in config: "+cluster+"."),
		},
		"a person":            {namespace + cluster, map[string]any{"sub": "kubernetes-admin"}, noSubject},
		"no name":             {namespace + cluster, map[string]any{"sub": "system:serviceaccount:web:"}, noSubject},
		"more than a name":    {namespace + cluster, map[string]any{"sub": "system:serviceaccount:web:front:x"}, noSubject},
		"an unknown cluster":  {namespace + cluster + "2", nil, failure("invalid_target", unknown)},
		"a disabled fleet":    {namespace + "https://gkehub.googleapis.com/projects/my-project/locations/global/memberships/fleet", nil, failure("invalid_target", unknown)},
		"another pool":        {"identitynamespace:other.svc.id.goog:" + cluster, nil, failure("invalid_target", unknown)},
		"no pool of clusters": {"identitynamespace:pool:" + issuerURL, nil, failure("invalid_request", malformed)},
		"no URL":              {namespace + "prod", nil, failure("invalid_request", malformed)},
		"no provider":         {"identitynamespace:my-project.svc.id.goog", nil, failure("invalid_request", malformed)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := r.exchange(exchangeForm(r.subject(t, kubernetes(test.changes)), url.Values{"audience": {test.audience}}))
			if diff := cmp.Diff(answer{http.StatusBadRequest, test.want}, got, cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A cluster is named by the audience that its clients send, or by the provider's resource name.
func TestClusterPrincipal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const clusterPool = "projects/7/locations/global/workloadIdentityPools/my-project.svc.id.goog"
	want := iam.Principal{
		Kind: iam.KindFederated, Pool: clusterPool, ID: "ns/web/sa/front",
		Attributes: map[string]string{"kubernetes.cluster": cluster, "kubernetes.serviceaccount.uid": "u-1"},
	}
	for _, audience := range []string{namespace + cluster, "//iam.googleapis.com/" + clusterPool + "/providers/prod"} {
		access, _ := r.granted(t, r.exchange(exchangeForm(r.subject(t, kubernetes(nil)), url.Values{"audience": {audience}})))
		if diff := cmp.Diff(want, access.Principal); diff != "" {
			t.Errorf("%s (-want +got):\n%s", audience, diff)
		}
	}
}

// apiServer is a cluster with keys of its own. Its zero value issues no tokens.
type apiServer struct {
	issuer string
	keys   map[string]crypto.PublicKey
}

func (a *apiServer) Keys(_ context.Context, issuer, id string) ([]crypto.PublicKey, bool) {
	if a.issuer == "" || issuer != a.issuer {
		return nil, false
	}
	if key, ok := a.keys[id]; ok {
		return []crypto.PublicKey{key}, true
	}
	return nil, true
}

// A provider without keys, whose issuer is the cluster that is watched, trusts the keys of the cluster
// and no others.
func TestTokensOfTheWatchedCluster(t *testing.T) {
	t.Parallel()
	const issuer = "https://kubernetes.default.svc.cluster.local"
	r := newRigOf(t, `
project: {id: my-project, number: 7}
workloadIdentityPools:
  - id: pool
    providers:
      - {id: prov, issuer: "`+issuer+`"}
`)
	changes := map[string]any{"iss": issuer, "sub": "system:serviceaccount:web:front"}
	subject := r.subject(t, changes)
	refused := answer{http.StatusBadRequest, failure("invalid_grant", "Error connecting to the given credential's issuer.")}
	check := func(when string, want answer) {
		t.Helper()
		if diff := cmp.Diff(want, r.exchange(exchangeForm(subject, nil)), cmp.AllowUnexported(answer{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	check("no cluster is watched", refused)
	r.cluster = apiServer{issuer, map[string]crypto.PublicKey{"other": r.rsa.Public()}}
	check("the key has another ID", refused)
	r.cluster.keys = map[string]crypto.PublicKey{"rsa": r.ec.Public()}
	check("the key is another", answer{http.StatusBadRequest, failure("invalid_grant", "Unable to verify the ID Token signature.")})
	r.cluster.keys = map[string]crypto.PublicKey{"rsa": r.rsa.Public()}
	access, _ := r.granted(t, r.exchange(exchangeForm(subject, nil)))
	if want := "system:serviceaccount:web:front"; access.Principal.ID != want {
		t.Errorf("the principal is %+v, want the subject %s", access.Principal, want)
	}
}

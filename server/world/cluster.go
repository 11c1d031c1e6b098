package world

import (
	"fmt"
	"path"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
)

// clusterPoolID is the ID of the project's pool of Kubernetes service accounts.
func (w *World) clusterPoolID() string {
	return fixtures.Dotted(w.Project.ID) + fixtures.ClusterPoolSuffix
}

// workloadAccount returns the account of a pod if its Kubernetes service account has no annotation
// with a Google service account: a member of the project's pool, with its ID in the place of an
// e-mail address.
func workloadAccount(w *World, kubernetes string) AttachedAccount {
	principal := w.KubernetesPrincipal(kubernetes)
	return AttachedAccount{
		Account:    &ServiceAccount{Email: principal.Email, UniqueID: principal.ID, MaxTokenLifetime: DefaultTokenLifetime},
		Email:      w.clusterPoolID(),
		Kubernetes: kubernetes,
		Aliases:    []string{"default"},
		Scopes:     []string{iam.CloudPlatform},
	}
}

// KubernetesPrincipal returns the principal that a Kubernetes service account, NAMESPACE/NAME, is in the
// policies of the project.
func (w *World) KubernetesPrincipal(name string) iam.Principal {
	email := w.clusterPoolID() + "[" + name + "]"
	return iam.Principal{Kind: iam.KindServiceAccount, Email: email, ID: inventedID(email)}
}

// HasPod reports whether a principal is a pod of the world. A pod is not a service account of the
// project.
func (w *World) HasPod(p iam.Principal) bool {
	for _, instance := range w.Instances {
		for _, attached := range instance.ServiceAccounts {
			if attached.Kubernetes != "" && attached.Account.UniqueID == p.ID {
				return true
			}
		}
	}
	return false
}

// Identifiers that a cluster's tokens add to the members of its pool, without "attribute."
// (https://cloud.google.com/iam/docs/principal-identifiers).
const (
	clusterAttribute    = "kubernetes.cluster"
	accountUIDAttribute = "kubernetes.serviceaccount.uid"
)

// clusterMapping is the attribute mapping of a provider of a pool of clusters, if the provider has
// no mapping. The subject of Kubernetes' tokens is system:serviceaccount:NAMESPACE:NAME.
func clusterMapping() map[string]string {
	return map[string]string{
		subjectAttribute: `assertion.sub.matches('^system:serviceaccount:[^:]+:[^:]+$')` +
			` ? 'ns/' + assertion.sub.split(':')[2] + '/sa/' + assertion.sub.split(':')[3] : ''`,
		customAttribute + clusterAttribute:    `assertion.iss`,
		customAttribute + accountUIDAttribute: `assertion['kubernetes.io'].serviceaccount.uid`,
	}
}

// addClusters adds the pool of the clusters that the pods of a fixture run in, unless the fixture
// describes the pool. The emulator's own keys sign for these clusters.
func (w *World) addClusters() {
	name := w.PoolName(w.clusterPoolID())
	if _, described := w.Pool(name); described {
		return
	}
	pool := &Pool{Name: name}
	known := map[string]bool{}
	for _, instance := range w.Instances {
		issuer := w.cluster(instance)
		if issuer == "" || known[issuer] {
			continue
		}
		known[issuer] = true
		described := fixtures.WorkloadIdentityProvider{ID: fmt.Sprintf("cluster-%d", len(known)), Issuer: issuer}
		provider := newProvider(pool.Name, described)
		_ = provider.compile(nil, described, nil) // the expressions are clusterMapping's
		pool.Providers = append(pool.Providers, provider)
	}
	if len(pool.Providers) > 0 {
		w.clusters = pool
	}
}

// cluster returns the URL of the cluster that an instance runs in, or nothing if it is not a pod.
func (w *World) cluster(of *Instance) string {
	if of.Profile != fixtures.GKE {
		return ""
	}
	instance, _ := of.Metadata["instance"].(map[string]any)
	attributes, _ := instance["attributes"].(map[string]any)
	location, _ := attributes["cluster-location"].(string)
	name, _ := attributes["cluster-name"].(string)
	if location == "" || name == "" {
		return ""
	}
	return "https://container.googleapis.com/v1/projects/" + w.Project.ID + "/locations/" + location + "/clusters/" + name
}

// ClusterAudience parses the audience of an exchange of a Kubernetes cluster's token:
// identitynamespace:POOL:ISSUER.
func ClusterAudience(audience string) (pool, issuer string, ok bool) {
	rest, isNamespace := strings.CutPrefix(audience, "identitynamespace:")
	pool, issuer, ok = strings.Cut(rest, ":")
	return pool, issuer, ok && isNamespace && fixtures.IsClusterPool(pool) && strings.HasPrefix(issuer, "https://")
}

// identities returns every identifier of a principal in policies. A Kubernetes service
// account is a member of its pool, and also serviceAccount:POOL[NAMESPACE/NAME].
func (w *World) identities(who iam.Principal) []string {
	all := who.Identities()
	if id, kubernetes, ok := strings.Cut(strings.TrimSuffix(who.Email, "]"), "["); ok && fixtures.IsClusterPool(id) {
		namespace, name, _ := strings.Cut(kubernetes, "/")
		who = iam.Principal{Kind: iam.KindFederated, Pool: w.PoolName(id), ID: "ns/" + namespace + "/sa/" + name}
		all = append(all, who.Identities()...)
	}
	return w.groups.With(append(all, kubernetesIdentities(who)...))
}

// kubernetesIdentities returns the additional identifiers of the members of a pool of clusters.
func kubernetesIdentities(who iam.Principal) []string {
	parts := strings.Split(who.ID, "/")
	pool := path.Base(who.Pool)
	const namespace, name, length = 1, 3, 4
	if !fixtures.IsClusterPool(pool) || len(parts) != length || parts[0] != "ns" || parts[2] != "sa" {
		return nil // a provider may map other subjects
	}
	set := "principalSet:" + IAMHost + who.Pool + "/"
	identities := []string{
		"serviceAccount:" + pool + "[" + parts[namespace] + "/" + parts[name] + "]",
		set + "namespace/" + parts[namespace],
	}
	for _, attribute := range []string{clusterAttribute, accountUIDAttribute} {
		if value := who.Attributes[attribute]; value != "" {
			identities = append(identities, set+attribute+"/"+value)
		}
	}
	return identities
}

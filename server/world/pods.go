package world

import (
	"cmp"
	"maps"
	"net/netip"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/order"
)

// Pod is a pod of a Kubernetes cluster.
type Pod struct {
	Name      string       // of the instance that plays the pod: NAME.NAMESPACE
	Node      string       // the name of its node
	Account   string       // its Kubernetes service account: NAMESPACE/NAME
	Addresses []netip.Addr // its own, by which the emulator knows it
}

// Pods are the present pods and Kubernetes service accounts of a cluster. If the service account of a
// pod is known, the pod is an instance of every world with these pods.
//
// The versions of a world share the pods, so the cost of a change does not depend on their number: no
// request can wait for a pod that does not exist yet. If a pod is removed or gets another identity,
// waiting requests must be woken (see store.Store.Wake). Pods are safe for concurrent use.
type Pods struct {
	pods     sync.Map // *pod by name
	accounts sync.Map // *kubernetesAccount by NAMESPACE/NAME

	changes atomic.Uint64                      // of the accounts
	derived atomic.Pointer[kubernetesIdentity] // of the accounts at an earlier time
	mu      sync.Mutex                         // held while accounts are derived
}

// pod is a pod with the instance that plays it.
type pod struct {
	Pod

	played atomic.Pointer[played]
}

// played is the instance that plays a pod, and its sources.
type played struct {
	of       part
	instance *Instance
}

// part is the part of a world on which the instance of a pod depends.
type part struct {
	project  Project
	universe string
	like     *Instance
	account  *ServiceAccount
}

// is reports whether two parts make the same instance. A deleted account is another copy each time.
func (p part) is(other part) bool {
	a, b := p.account, other.account
	if a.Disabled && b.Disabled && a.UniqueID == b.UniqueID {
		p.account = b
	}
	return p == other
}

// kubernetesAccount is a Kubernetes service account.
type kubernetesAccount struct{ google string } // the Google service account of the annotation; may be empty

// kubernetesIdentity holds the identities of the Kubernetes service accounts in a project.
type kubernetesIdentity struct {
	changes uint64
	pool    string
	members map[string]AttachedAccount // of the pool, by NAMESPACE/NAME: those without an annotation
	byID    map[string]*ServiceAccount // by unique ID the members of the pool, and by e-mail address and unique ID the annotations' accounts
}

// Put adds a pod, or replaces the pod with the same name.
func (p *Pods) Put(one Pod) { p.pods.Store(one.Name, &pod{Pod: one}) }

// Remove removes a pod.
func (p *Pods) Remove(name string) { p.pods.Delete(name) }

// Annotate adds a Kubernetes service account, or replaces its annotation. google is the e-mail address
// of a Google service account, or empty. It reports whether the account was another one before.
func (p *Pods) Annotate(account, google string) bool {
	before, known := p.accounts.Swap(account, &kubernetesAccount{google})
	if known && before.(*kubernetesAccount).google == google {
		return false
	}
	p.changes.Add(1)
	return known
}

// RemoveAccount removes a Kubernetes service account. Its pods stop being instances.
func (p *Pods) RemoveAccount(account string) {
	if _, known := p.accounts.LoadAndDelete(account); known {
		p.changes.Add(1)
	}
}

// HasAccount reports whether a Kubernetes service account is known.
func (p *Pods) HasAccount(account string) bool {
	_, known := p.accounts.Load(account)
	return known
}

// TakePods gives a world that nobody else has yet the pods of a cluster.
func (w *World) TakePods(pods *Pods) {
	if w.pods != pods {
		w.pods = pods
	}
}

// TakePodsOf gives a new world, which nobody else has yet, the pods of another. If a world was the
// other's successor before, it may be shared, but it has these pods already.
func (w *World) TakePodsOf(other *World) { w.TakePods(other.pods) }

// Pods returns the pods of the world, sorted by name.
func (w *World) Pods() []Pod {
	if w.pods == nil {
		return nil
	}
	var all []Pod
	w.pods.pods.Range(func(_, one any) bool {
		all = append(all, one.(*pod).Pod)
		return true
	})
	order.Sort(all, func(a, b Pod) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// instance returns the instance that plays a pod in a world.
func (p *Pods) instance(w *World, name string) (*Instance, bool) {
	found, ok := p.pods.Load(name)
	if !ok {
		return nil, false
	}
	one := found.(*pod)
	attached, ok := p.attached(w, one.Account)
	if !ok {
		return nil, false
	}
	of := part{w.Project, w.UniverseDomain, w.instancesByName[w.podsAreLike], attached.Account}
	for {
		before := one.played.Load()
		if before != nil && before.of.is(of) {
			return before.instance, true
		}
		one.played.CompareAndSwap(before, &played{of, newPod(w, one.Pod, attached, of.like)})
	}
}

// attached returns the account of a Kubernetes service account in a world.
func (p *Pods) attached(w *World, name string) (AttachedAccount, bool) {
	found, ok := p.accounts.Load(name)
	if !ok {
		return AttachedAccount{}, false
	}
	google := found.(*kubernetesAccount).google
	if google == "" {
		member, ok := p.identity(w).members[name]
		return member, ok
	}
	account, ok := w.attachable(fixtures.AttachedAccount{Email: google})
	return AttachedAccount{Account: account, Email: google, Aliases: []string{"default"}, Scopes: []string{iam.CloudPlatform}, Impersonator: name}, ok
}

// account finds an account that only the cluster names.
func (p *Pods) account(w *World, id string) (*ServiceAccount, bool) {
	account, ok := p.identity(w).byID[strings.ToLower(id)]
	if !ok {
		return nil, false
	}
	if _, deleted := w.deletedAccount(account.UniqueID); deleted {
		return nil, false
	}
	return account, true
}

// identity derives the identities of the Kubernetes service accounts in the project of a world.
// Earlier results stay the same in memory.
func (p *Pods) identity(w *World) *kubernetesIdentity {
	pool := w.clusterPoolID()
	if derived := p.derived.Load(); derived.isOf(pool, p.changes.Load()) {
		return derived
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before, changes := p.derived.Load(), p.changes.Load()
	if before.isOf(pool, changes) {
		return before
	}
	if before == nil || before.pool != pool {
		before = &kubernetesIdentity{}
	}
	next := &kubernetesIdentity{changes: changes, pool: pool, members: map[string]AttachedAccount{}, byID: map[string]*ServiceAccount{}}
	p.accounts.Range(func(name, account any) bool {
		next.add(w, before, name.(string), account.(*kubernetesAccount).google)
		return true
	})
	p.derived.Store(next)
	return next
}

// isOf reports whether the identities are those of a pool at a time.
func (k *kubernetesIdentity) isOf(pool string, changes uint64) bool {
	return k != nil && k.pool == pool && k.changes == changes
}

// add adds a Kubernetes service account, as it was before if it has not changed. A Google service
// account that an annotation names need not be in the fixture.
func (k *kubernetesIdentity) add(w *World, before *kubernetesIdentity, name, google string) {
	if google == "" {
		member, known := before.members[name]
		if !known {
			member = workloadAccount(w, name)
		}
		k.members[name], k.byID[member.Account.UniqueID] = member, member.Account
		return
	}
	email := strings.ToLower(google)
	account, known := before.byID[email]
	if !known {
		account = &ServiceAccount{Email: google, UniqueID: inventedID(google), MaxTokenLifetime: DefaultTokenLifetime}
	}
	k.byID[email], k.byID[account.UniqueID] = account, account
}

// newPod returns the instance that plays a pod. All pods have the zone and the attributes of like,
// the fixture's first instance of profile gke. like may be nil.
func newPod(w *World, one Pod, attached AttachedAccount, like *Instance) *Instance {
	f := fixtures.Instance{Name: cmp.Or(one.Node, one.Name), Profile: fixtures.GKE, Zone: fixtures.DefaultZone}
	attributes := map[string]any{}
	if like != nil {
		f.Zone = path.Base(like.Zone())
		section, _ := like.Metadata["instance"].(map[string]any)
		of, _ := section["attributes"].(map[string]any)
		attributes = maps.Clone(of)
	}
	accounts := []AttachedAccount{attached}
	overlay := map[string]any{"instance": map[string]any{"attributes": attributes}}
	return &Instance{
		Name: one.Name, Profile: fixtures.GKE, ServiceAccounts: accounts, IsPod: true,
		Metadata: merge(workload(w, f, accounts).Tree(), overlay, fixtures.Naming{}),
	}
}

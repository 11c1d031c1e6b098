//go:build cluster

package kubernetes

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// claim is what a pod says about its addresses.
type claim struct {
	pod       string // the name of the instance that plays it
	account   string // its Kubernetes service account, NAMESPACE/NAME
	uid       string
	created   time.Time
	onNetwork bool // it is in the network of its node, whose addresses all pods of this kind share
	addresses []netip.Addr
}

// is reports whether two claims are the same.
func (c claim) is(other claim) bool {
	return c.uid == other.uid && c.account == other.account && c.onNetwork == other.onNetwork && slices.Equal(c.addresses, other.addresses)
}

// isKnown reports whether the pod has an address for itself.
func (c claim) isKnown() bool { return len(c.addresses) > 0 && !c.onNetwork }

// index holds which pod has which address. It is safe for concurrent use.
type index struct {
	mu     sync.RWMutex
	claims map[string]claim // by UID
	owners map[netip.Addr]claim
	shared map[netip.Addr]map[string]string // by address and UID the names of the pods in the network of their node
	news   chan struct{}                    // closed when a pod or an account is added
}

func newIndex() *index {
	return &index{claims: map[string]claim{}, owners: map[netip.Addr]claim{}, shared: map[netip.Addr]map[string]string{}, news: make(chan struct{})}
}

// put replaces the claims of a pod. The newest pod with an address has it: a pod that still claims an
// address after another pod was created with it has ended, and the news of that are late.
func (i *index) put(c claim) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.drop(c.uid)
	i.claims[c.uid] = c
	for _, address := range c.addresses {
		if c.onNetwork {
			if i.shared[address] == nil {
				i.shared[address] = map[string]string{}
			}
			i.shared[address][c.uid] = c.pod
			continue
		}
		if owner, taken := i.owners[address]; !taken || !c.created.Before(owner.created) {
			i.owners[address] = c
		}
	}
	i.tell()
}

// remove removes the claims of a pod.
func (i *index) remove(uid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.drop(uid)
}

// drop removes the claims of a pod. The lock is held.
func (i *index) drop(uid string) {
	for _, address := range i.claims[uid].addresses {
		if delete(i.shared[address], uid); len(i.shared[address]) == 0 {
			delete(i.shared, address)
		}
		if i.owners[address].uid == uid {
			delete(i.owners, address)
		}
	}
	delete(i.claims, uid)
}

// claim returns the claims of a pod, which the last news of it may lack.
func (i *index) claim(uid string) claim {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.claims[uid]
}

// find returns the pod with an address, or the names of the pods that share the address with their
// node. news is closed when the answer may be another one.
func (i *index) find(address netip.Addr) (owner claim, sharing []string, news <-chan struct{}) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	for _, name := range i.shared[address] {
		sharing = append(sharing, name)
	}
	slices.Sort(sharing)
	return i.owners[address], sharing, i.news
}

// added tells those who wait for news.
func (i *index) added() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.tell()
}

// tell closes the channel of news. The lock is held.
func (i *index) tell() {
	close(i.news)
	i.news = make(chan struct{})
}

// size returns the number of addresses that a pod has for itself.
func (i *index) size() int {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return len(i.owners)
}

//go:build cluster

package kubernetes

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// claim is a pod's description of its addresses.
type claim struct {
	pod       string // the name of the instance that plays it
	account   string // its Kubernetes service account, NAMESPACE/NAME
	uid       string
	created   time.Time
	listed    bool // it was there already when the watch began
	onNetwork bool // it is in the network of its node, whose addresses all pods of this kind share
	addresses []netip.Addr
}

// is reports whether two claims are the same.
func (c claim) is(other claim) bool {
	return c.uid == other.uid && c.account == other.account && c.onNetwork == other.onNetwork && slices.Equal(c.addresses, other.addresses)
}

// isKnown reports whether the pod has an address for itself.
func (c claim) isKnown() bool { return len(c.addresses) > 0 && !c.onNetwork }

// claimant is a pod that claims an address.
type claimant struct {
	claim

	turn uint64 // a higher number came later
}

// index maps addresses to pods. It is safe for concurrent use.
type index struct {
	mu        sync.RWMutex
	claims    map[string]claim // by UID
	claimants map[netip.Addr][]claimant
	turn      uint64                           // the latest
	shared    map[netip.Addr]map[string]string // by address and UID the names of the pods in the network of their node
	news      chan struct{}                    // closed when a pod or an account is added
}

func newIndex() *index {
	return &index{claims: map[string]claim{}, claimants: map[netip.Addr][]claimant{}, shared: map[netip.Addr]map[string]string{}, news: make(chan struct{})}
}

// put replaces the claims of a pod.
func (i *index) put(c claim) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, address := range i.claims[c.uid].addresses {
		if !slices.Contains(c.addresses, address) {
			i.leave(address, c.uid)
		}
	}
	i.claims[c.uid] = c
	for _, address := range c.addresses {
		if c.onNetwork {
			i.share(address, c)
		} else {
			i.enter(address, c)
		}
	}
	i.tell()
}

func (i *index) share(address netip.Addr, c claim) {
	if i.shared[address] == nil {
		i.shared[address] = map[string]string{}
	}
	i.shared[address][c.uid] = c.pod
}

// enter makes a pod the last claimant and the owner of an address, unless the pod claims it already. A
// cluster gives an address to a new pod only after the previous pod has ended. If the previous pod
// still claims the address, the news of its end is late. The age of pods does not help, because a pod
// may wait for its address for long. Age decides only between pods of the first list, because nothing
// else is known about them.
func (i *index) enter(address netip.Addr, c claim) {
	all := i.claimants[address]
	if at := slices.IndexFunc(all, func(one claimant) bool { return one.uid == c.uid }); at >= 0 {
		all[at].claim = c
		return
	}
	one := claimant{claim: c}
	if !c.listed {
		i.turn++
		one.turn = i.turn
	}
	all = append(all, one)
	slices.SortStableFunc(all, func(a, b claimant) int {
		return cmp.Or(cmp.Compare(a.turn, b.turn), a.created.Compare(b.created))
	})
	i.claimants[address] = all
}

// leave ends the claim of a pod to an address. The address goes to the last remaining claimant.
func (i *index) leave(address netip.Addr, uid string) {
	if delete(i.shared[address], uid); len(i.shared[address]) == 0 {
		delete(i.shared, address)
	}
	i.claimants[address] = slices.DeleteFunc(i.claimants[address], func(one claimant) bool { return one.uid == uid })
	if len(i.claimants[address]) == 0 {
		delete(i.claimants, address)
	}
}

// remove removes the claims of a pod.
func (i *index) remove(uid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, address := range i.claims[uid].addresses {
		i.leave(address, uid)
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
// node. news is closed when the answer may have changed.
func (i *index) find(address netip.Addr) (owner claim, sharing []string, news <-chan struct{}) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	for _, name := range i.shared[address] {
		sharing = append(sharing, name)
	}
	slices.Sort(sharing)
	if all := i.claimants[address]; len(all) > 0 {
		owner = all[len(all)-1].claim
	}
	return owner, sharing, i.news
}

// added wakes the goroutines that wait for news.
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
	return len(i.claimants)
}

// Package workloads decides which instance a request is for, and by which rule.
//
// It owns the order of the rules: the listener of the request, the name in its Host, the address of its
// caller, and at last the first instance. If the caller is a pod or is refused, the address counts
// before the Host. The package does not own the addresses of instances (package world) and of pods
// ([Pods]), and it does not read header fields in which a client or a proxy names another address.
package workloads

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/world"
)

// Rule is the rule by which an instance was chosen.
type Rule string

// The rules, in their order. The first rule that fits decides.
const (
	ByListener Rule = "listener" // the request came in at the instance's own address
	ByHost     Rule = "host"     // the Host begins with the instance's name
	ByAddress  Rule = "address"  // the caller's address is one of the instance's addresses
	ByPod      Rule = "pod"      // the caller's address is the address of a pod
	ByDefault  Rule = "default"  // it is the first instance
)

// Pods knows the pods of a cluster.
type Pods interface {
	// At returns the name of the instance that plays the pod with an address, or the reason why a
	// request from there cannot be answered, or neither if the cluster has nothing to do with the address.
	// It may wait until the cluster has told of a new pod; the end of ctx ends the wait.
	At(ctx context.Context, address netip.Addr) (instance string, refusal *journal.Refusal)
}

// Chooser chooses instances. Its zero value asks no cluster, and leaves the rule for callers to the
// world.
type Chooser struct {
	Callers fixtures.Callers // empty: the world's rule
	Pods    Pods             // nil: there is no cluster
}

// Request holds the facts that decide about the instance, besides the context.
type Request struct {
	Host string
	Peer string // the address of the connection's other end, as net/http has it
}

// Choice is an instance and the rule by which it was chosen.
type Choice struct {
	Instance *world.Instance // nil: the request has no instance
	Rule     Rule
	Refusal  *journal.Refusal // why there is no instance; nil if the rule named one that was removed
}

// Because says in words why a caller gets the metadata of the instance, or why it gets none.
func (c Choice) Because(peer string) string {
	switch {
	case c.Refusal != nil:
		return c.Refusal.Reason
	case c.Instance == nil:
		return "the instance has been removed"
	}
	switch c.Rule {
	case ByListener:
		return fmt.Sprintf("%q has the address at which the request came in", c.Instance.Name)
	case ByHost:
		return fmt.Sprintf("the host name begins with %q", c.Instance.Name)
	case ByAddress:
		return fmt.Sprintf("%q has the address %s of the caller", c.Instance.Name, Peer(peer))
	case ByPod:
		return fmt.Sprintf("%q is the pod with the address %s of the caller", c.Instance.Name, Peer(peer))
	case ByDefault:
	}
	return fmt.Sprintf("%q is the first instance, and no other one is at an address or a name that the request has", c.Instance.Name)
}

// named is the choice that the way of a request has made.
type named struct {
	instance string
	rule     Rule
}

type namedKey struct{}

// Named returns a context for requests to the named instance, by ByListener or ByHost. The first name
// counts.
func Named(ctx context.Context, instance string, rule Rule) context.Context {
	if _, known := ctx.Value(namedKey{}).(named); known {
		return ctx // set by the address of the connection
	}
	return context.WithValue(ctx, namedKey{}, named{instance, rule})
}

// Choose returns the instance that a request is for. It waits only for Pods.
func (c Chooser) Choose(ctx context.Context, w *world.World, r Request) Choice {
	way, hasWay := ctx.Value(namedKey{}).(named)
	var byHost Choice
	if hasWay {
		byHost = way.choice(w)
	}
	if byHost.Rule == ByListener {
		return byHost
	}
	onlyKnown := c.onlyKnown(w)
	if !hasWay && (len(w.Instances) > 1 || onlyKnown) { // otherwise the Host does not matter
		byHost = inHost(hostname.Of(r.Host), w)
	}
	if c.Pods == nil && !onlyKnown {
		switch {
		case byHost.Rule != "":
			return byHost
		case !w.HasAddresses(): // the address of the caller does not matter
			return Choice{Instance: w.DefaultInstance(), Rule: ByDefault}
		}
	}
	peer := Peer(r.Peer)
	var byPeer Choice
	if c.Pods != nil || w.HasAddresses() {
		byPeer = c.byPeer(ctx, w, peer)
	}
	isAdmitted := byPeer.Rule == ByAddress || !onlyKnown || isLocal(peer)
	switch {
	case byPeer.Rule == ByPod: // or refused: anybody can write a Host
		return byPeer
	case byHost.Rule != "" && isAdmitted:
		return byHost
	case byPeer.Rule != "":
		return byPeer
	case onlyKnown:
		return Choice{Rule: ByAddress, Refusal: unknown(peer)}
	}
	return Choice{Instance: w.DefaultInstance(), Rule: ByDefault}
}

// isLocal reports whether a caller is on this machine. A caller without an address is at a Unix socket.
func isLocal(peer netip.Addr) bool { return !peer.IsValid() || peer.IsLoopback() }

// choice returns the instance that the way of a request has named.
func (n named) choice(w *world.World) Choice {
	instance, _ := w.Instance(n.instance)
	return Choice{Instance: instance, Rule: n.rule}
}

func (c Chooser) onlyKnown(w *world.World) bool {
	if c.Callers != "" {
		return c.Callers == fixtures.KnownCallers
	}
	return w.Callers == fixtures.KnownCallers
}

// inHost chooses the instance with the Host's name. Google's own host names name no instance.
func inHost(host string, w *world.World) Choice {
	if hostname.IsMetadata(host) || hostname.IsGoogle(host) {
		return Choice{}
	}
	label, _, _ := strings.Cut(host, ".")
	instance, ok := w.Instance(label)
	if !ok {
		return Choice{}
	}
	return Choice{Instance: instance, Rule: ByHost}
}

// byPeer chooses by the address of the caller. If the caller has no address, peer is not valid. If
// nobody has the address, the choice has no rule.
func (c Chooser) byPeer(ctx context.Context, w *world.World, peer netip.Addr) Choice {
	if instance, ok := w.InstanceAt(peer); ok {
		return Choice{Instance: instance, Rule: ByAddress}
	}
	if c.Pods == nil || !peer.IsValid() {
		return Choice{}
	}
	name, refusal := c.Pods.At(ctx, peer)
	if name == "" && refusal == nil {
		return Choice{}
	}
	instance, _ := w.Instance(name)
	return Choice{Instance: instance, Rule: ByPod, Refusal: refusal}
}

// Stays reports whether a request that was for an instance by a rule is still for this instance in
// another world, as far as the address of its caller decides.
func Stays(w *world.World, instance string, rule Rule, peer string) bool {
	if rule != ByAddress && (rule != ByDefault || !w.HasAddresses()) {
		return true
	}
	owner, ok := w.InstanceAt(Peer(peer))
	if !ok {
		return rule == ByDefault
	}
	return owner.Name == instance
}

// Peer returns the address in net/http's text for the other end of a connection. If the connection
// has no address, as with a Unix socket, the result is not valid.
func Peer(text string) netip.Addr {
	address, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.Addr{}
	}
	return address.Addr().Unmap().WithZone("")
}

// unknown is the reason to refuse a caller that is not known.
func unknown(peer netip.Addr) *journal.Refusal {
	refusal := &journal.Refusal{
		Code:   reason.UnknownCaller,
		Reason: fmt.Sprintf("no instance has the address %s, and only known callers are answered", peer),
		Hint:   fmt.Sprintf(`add it to an instance in the fixture: addresses: ["%s"], or start the emulator with --callers any`, peer),
	}
	if !peer.IsValid() {
		refusal.Reason = "the caller of a Unix socket has no address, and only known callers are answered"
		refusal.Hint = "send the request with the header Host: INSTANCE.localhost, or start the emulator with --callers any"
	}
	return refusal
}

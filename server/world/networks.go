package world

import (
	"cmp"
	"net/netip"
	"slices"

	"gcp-metadata-emulator/server/order"
)

// networks finds the instance that asks from an address.
type networks struct {
	owners  map[netip.Prefix]*Instance
	lengths []prefixLength // of the prefixes in owners, the longest first
}

// prefixLength is a number of bits at the beginning of IPv4 or of IPv6 addresses.
type prefixLength struct{ address, prefix int }

// networksOf returns the networks of instances. If two instances have the same network, the first
// counts.
func networksOf(instances []*Instance) networks {
	var found networks
	for _, instance := range instances {
		for _, network := range instance.Addresses {
			if _, taken := found.owners[network.Prefix]; taken {
				continue
			}
			if found.owners == nil {
				found.owners = make(map[netip.Prefix]*Instance, len(instances))
			}
			found.owners[network.Prefix] = instance
			length := prefixLength{network.Addr().BitLen(), network.Bits()}
			if !slices.Contains(found.lengths, length) {
				found.lengths = append(found.lengths, length)
			}
		}
	}
	order.Sort(found.lengths, func(a, b prefixLength) int { return cmp.Compare(b.prefix, a.prefix) })
	return found
}

// HasAddresses reports whether an instance of the world has addresses from which it asks.
func (w *World) HasAddresses() bool { return len(w.networks.lengths) > 0 }

// InstanceAt returns the instance that asks from an address. If several have it in their ranges, the
// smallest range counts. An IPv4 address in the form of IPv6 is the IPv4 address, and zones do not count.
func (w *World) InstanceAt(address netip.Addr) (*Instance, bool) {
	address = address.Unmap().WithZone("")
	for _, length := range w.networks.lengths {
		if length.address != address.BitLen() {
			continue
		}
		prefix, _ := address.Prefix(length.prefix) // the length fits the address
		if instance, ok := w.networks.owners[prefix]; ok {
			return instance, true
		}
	}
	return nil, false
}

package world_test

import (
	"net/netip"
	"testing"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/world/worldtest"
)

// An instance that is added, replaced or removed takes its addresses with it.
func TestAddressesOfWorkloads(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddr("10.4.0.7")
	bare := worldtest.Parse(t, "instances: [{name: first}]")
	if _, ok := bare.InstanceAt(at); ok || bare.HasAddresses() {
		t.Error("a world without addresses has one")
	}
	pod := fixtures.Instance{Name: "pod", Profile: fixtures.GKE, Addresses: []fixtures.Network{{Prefix: netip.PrefixFrom(at, at.BitLen())}}}
	with := bare.WithInstance(pod)
	if got, ok := with.InstanceAt(at); !ok || got.Name != "pod" {
		t.Errorf("the added instance is not at its address: %v", got)
	}
	pod.Addresses = []fixtures.Network{{Prefix: netip.MustParsePrefix("10.5.0.0/16")}}
	if got, ok := with.WithInstance(pod).InstanceAt(at); ok {
		t.Errorf("%q has kept the address", got.Name)
	}
	without, err := with.WithoutInstance("pod")
	if err != nil || without.HasAddresses() {
		t.Errorf("the removed instance has kept its address, %v", err)
	}
	if _, ok := with.InstanceAt(netip.Addr{}); ok {
		t.Error("an instance is at no address")
	}
}

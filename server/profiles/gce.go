package profiles

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
)

// gce returns the metadata of a Compute Engine VM: one boot disk, one network interface in the
// default network, and consistent values.
func (w Workload) gce() map[string]any {
	project := w.projectIDs()
	project["attributes"] = attributes(w.Project.Attributes)
	return map[string]any{
		"instance": w.gceInstance(),
		"oslogin":  map[string]any{"authenticate": map[string]any{"sessions": map[string]any{}}},
		"project":  project,
		"universe": map[string]any{"universeDomain": w.Project.UniverseDomain},
	}
}

func (w Workload) gceInstance() map[string]any {
	return map[string]any{
		"attributes":        map[string]any{},
		"cpuPlatform":       "Intel Broadwell",
		"description":       "",
		"disks":             []any{w.disk(0)},
		"guestAttributes":   map[string]any{},
		"hostname":          w.zonalName(),
		"id":                number(w.ID),
		"image":             "projects/debian-cloud/global/images/debian-12-bookworm-v20260114",
		"licenses":          []any{map[string]any{"id": "2147286739765738111"}},
		"machineType":       fmt.Sprintf("projects/%d/machineTypes/e2-medium", w.Project.Number),
		"maintenanceEvent":  "NONE",
		"name":              w.Name,
		"networkInterfaces": []any{w.networkInterface(w.address(0), defaultMask)},
		"partnerAttributes": map[string]any{},
		"preempted":         "FALSE",
		"remainingCpuTime":  json.Number("-1"),
		"scheduling": map[string]any{
			"automaticRestart": "TRUE", "onHostMaintenance": "MIGRATE", "preemptible": "FALSE",
		},
		"serviceAccounts": w.serviceAccounts(),
		"tags":            []any{},
		"virtualClock":    map[string]any{"driftToken": "0"},
		"zone":            w.zone(w.Zone),
	}
}

// Complete adds defaults to each disk and each network interface in a document that a fixture lays
// over the tree of a VM: its lists replace the lists of the tree. Keys are in the form of Tree.
func (w Workload) Complete(document map[string]any) {
	instance, _ := document["instance"].(map[string]any)
	interfaces, _ := instance["networkInterfaces"].([]any)
	for _, item := range interfaces {
		written, _ := item.(map[string]any)
		complete(written["accessConfigs"], func(int, map[string]any) map[string]any { return accessConfig() })
	}
	complete(instance["disks"], func(i int, _ map[string]any) map[string]any { return w.disk(i) })
	complete(instance["networkInterfaces"], func(i int, written map[string]any) map[string]any {
		address := w.address(i)
		if text, ok := written["ip"].(string); ok {
			address, _ = netip.ParseAddr(text) // a text that is not an address has no gateway
		}
		mask, ok := written["subnetmask"].(string)
		if !ok {
			mask = defaultMask
		}
		return w.networkInterface(address, mask)
	})
}

// complete adds defaults to each item of a list.
func complete(list any, defaults func(i int, written map[string]any) map[string]any) {
	items, _ := list.([]any)
	for i, item := range items {
		if written, ok := item.(map[string]any); ok {
			completed := defaults(i, written)
			maps.Copy(completed, written)
			items[i] = completed
		}
	}
}

// disk returns a disk. The boot disk, which is the first, has the name of the instance.
func (w Workload) disk(index int) map[string]any {
	name := w.Name
	if index > 0 {
		name = fmt.Sprintf("persistent-disk-%d", index)
	}
	return map[string]any{
		"deviceName": name, "index": number(uint64(index)), "interface": "SCSI",
		"mode": "READ_WRITE", "type": "PERSISTENT-BALANCED",
	}
}

// defaultMask is the mask of the subnets of a network in auto mode
// (https://cloud.google.com/vpc/docs/subnets#ip-ranges).
const defaultMask = "255.255.240.0"

// address returns the internal address of a network interface, derived from the name of the instance.
func (w Workload) address(index int) netip.Addr {
	const lowestHost, hosts, interfaces = 2, 250, 128
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(w.Name)) // a hash never fails
	return netip.AddrFrom4([4]byte{10, byte(128 + index%interfaces), 0, byte(lowestHost + hash.Sum32()%hosts)})
}

// networkInterface returns a network interface in the default network. If its address is an IPv4
// address, gateway and MAC address are derived from the address as Google derives them.
func (w Workload) networkInterface(address netip.Addr, mask string) map[string]any {
	nic := map[string]any{
		"accessConfigs":     []any{accessConfig()},
		"dnsServers":        []any{"169.254.169.254"},
		"forwardedIps":      []any{},
		"ipAliases":         []any{},
		"mtu":               number(1460),
		"network":           fmt.Sprintf("projects/%d/networks/default", w.Project.Number),
		"subnetmask":        mask,
		"targetInstanceIps": []any{},
	}
	if address.Is4() {
		octets := address.As4()
		nic["ip"] = address.String()
		// Google's MAC addresses are 42:01 and the internal IPv4 address.
		nic["mac"] = fmt.Sprintf("42:01:%02x:%02x:%02x:%02x", octets[0], octets[1], octets[2], octets[3])
		if gateway, ok := gatewayOf(octets, mask); ok {
			nic["gateway"] = gateway
		}
	}
	return nic
}

// accessConfig returns the access config of a network interface without an external address.
func accessConfig() map[string]any {
	return map[string]any{"externalIp": "", "type": "ONE_TO_ONE_NAT"}
}

// gatewayOf returns the first address of the subnet of an address
// (https://cloud.google.com/vpc/docs/subnets#unusable-ip-addresses-in-every-subnet).
func gatewayOf(address [4]byte, mask string) (string, bool) {
	parsed, err := netip.ParseAddr(mask)
	if err != nil || !parsed.Is4() {
		return "", false
	}
	bits := parsed.As4()
	for i := range address {
		address[i] &= bits[i]
	}
	return netip.AddrFrom4(address).Next().String(), true
}

func attributes(texts map[string]string) map[string]any {
	document := make(map[string]any, len(texts))
	for key, value := range texts {
		document[key] = value
	}
	return document
}

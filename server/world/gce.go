package world

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/netip"

	"gcp-metadata-emulator/fixtures"
)

// gceMetadata is what the metadata server of a Compute Engine VM serves when its fixture
// sets nothing more: one boot disk, one network interface in the default network, and
// values that fit together.
func gceMetadata(w *World, f fixtures.Instance, accounts []AttachedAccount) map[string]any {
	return map[string]any{
		"instance": gceInstance(w, f, accounts),
		"oslogin":  map[string]any{"authenticate": map[string]any{"sessions": map[string]any{}}},
		"project":  gceProject(w),
		"universe": map[string]any{"universeDomain": w.UniverseDomain},
	}
}

// projectIDs are what every profile tells of the project.
func projectIDs(w *World) map[string]any {
	return map[string]any{"numericProjectId": jsonNumber(w.Project.Number), "projectId": w.Project.ID}
}

func gceProject(w *World) map[string]any {
	project := projectIDs(w)
	project["attributes"] = textAttributes(w.origin.Project.Attributes)
	return project
}

func gceInstance(w *World, f fixtures.Instance, accounts []AttachedAccount) map[string]any {
	return map[string]any{
		"attributes":        map[string]any{},
		"cpuPlatform":       "Intel Broadwell",
		"description":       "",
		"disks":             []any{disk(f.Name, 0)},
		"guestAttributes":   map[string]any{},
		"hostname":          zonalName(f.Name, f.Zone, w.Project.ID),
		"id":                jsonNumber(inventedInstanceID(w.Project.ID, f.Name)),
		"image":             "projects/debian-cloud/global/images/debian-12-bookworm-v20260114",
		"licenses":          []any{map[string]any{"id": "2147286739765738111"}},
		"machineType":       fmt.Sprintf("projects/%d/machineTypes/e2-medium", w.Project.Number),
		"maintenanceEvent":  "NONE",
		"name":              f.Name,
		"networkInterfaces": []any{networkInterface(w.Project.Number, defaultAddress(f.Name, 0), defaultMask)},
		"partnerAttributes": map[string]any{},
		"preempted":         "FALSE",
		"remainingCpuTime":  json.Number("-1"),
		"scheduling": map[string]any{
			"automaticRestart": "TRUE", "onHostMaintenance": "MIGRATE", "preemptible": "FALSE",
		},
		"serviceAccounts": serviceAccounts(accounts),
		"tags":            []any{},
		"virtualClock":    map[string]any{"driftToken": "0"},
		"zone":            zone(w.Project.Number, f.Zone),
	}
}

func zone(projectNumber uint64, name string) string {
	return fmt.Sprintf("projects/%d/zones/%s", projectNumber, name)
}

// completeLists gives the disks and network interfaces of a fixture, whose lists take the
// place of the default ones, what it leaves out of each.
func completeLists(w *World, f fixtures.Instance, overlay map[string]any) {
	instance, _ := overlay["instance"].(map[string]any)
	interfaces, _ := instance["networkInterfaces"].([]any)
	for _, item := range interfaces {
		written, _ := item.(map[string]any)
		completeList(written["accessConfigs"], func(int, map[string]any) map[string]any { return accessConfig() })
	}
	completeList(instance["disks"], func(i int, _ map[string]any) map[string]any { return disk(f.Name, i) })
	completeList(instance["networkInterfaces"], func(i int, written map[string]any) map[string]any {
		address := defaultAddress(f.Name, i)
		if text, ok := written["ip"].(string); ok {
			address, _ = netip.ParseAddr(text) // what is no address has no gateway
		}
		mask, ok := written["subnetmask"].(string)
		if !ok {
			mask = defaultMask
		}
		return networkInterface(w.Project.Number, address, mask)
	})
}

func completeList(list any, standard func(i int, written map[string]any) map[string]any) {
	items, _ := list.([]any)
	for i, item := range items {
		if written, ok := item.(map[string]any); ok {
			items[i] = merge(standard(i, written), written, fixtures.Naming{})
		}
	}
}

func disk(instance string, index int) map[string]any {
	name := instance // as the boot disk is called
	if index > 0 {
		name = fmt.Sprintf("persistent-disk-%d", index)
	}
	return map[string]any{
		"deviceName": name, "index": jsonNumber(uint64(index)), "interface": "SCSI",
		"mode": "READ_WRITE", "type": "PERSISTENT-BALANCED",
	}
}

// defaultMask is that of the subnets of a network in auto mode
// (https://cloud.google.com/vpc/docs/subnets#ip-ranges).
const defaultMask = "255.255.240.0"

// defaultAddress is the internal address of an interface, made from the instance's name.
func defaultAddress(name string, index int) netip.Addr {
	const lowestHost, hosts, interfaces = 2, 250, 128
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name)) // a hash never fails
	return netip.AddrFrom4([4]byte{10, byte(128 + index%interfaces), 0, byte(lowestHost + hash.Sum32()%hosts)})
}

// networkInterface is one in the default network: gateway and MAC address are made from
// the address as Google makes them, where it is one of IPv4.
func networkInterface(projectNumber uint64, address netip.Addr, mask string) map[string]any {
	nic := map[string]any{
		"accessConfigs":     []any{accessConfig()},
		"dnsServers":        []any{"169.254.169.254"},
		"forwardedIps":      []any{},
		"ipAliases":         []any{},
		"mtu":               jsonNumber(1460),
		"network":           fmt.Sprintf("projects/%d/networks/default", projectNumber),
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

// accessConfig is that of an interface without an external address.
func accessConfig() map[string]any {
	return map[string]any{"externalIp": "", "type": "ONE_TO_ONE_NAT"}
}

// gatewayOf is the first address of the subnet of an address
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

// serviceAccounts lists each account under its e-mail address and under its aliases.
func serviceAccounts(accounts []AttachedAccount) map[string]any {
	listed := map[string]any{}
	for _, attached := range accounts {
		entry := map[string]any{
			"aliases": anyList(attached.Aliases),
			"email":   attached.Email,
			"scopes":  anyList(attached.Scopes),
		}
		listed[attached.Email] = entry
		for _, alias := range attached.Aliases {
			listed[alias] = entry
		}
	}
	return listed
}

// zonalName returns the zonal DNS name of a VM; the project of a domain puts the domain last
// (https://cloud.google.com/compute/docs/internal-dns).
func zonalName(name, zone, projectID string) string {
	return name + "." + zone + ".c." + fixtures.Dotted(projectID) + ".internal"
}

func anyList(texts []string) []any {
	list := make([]any, len(texts))
	for i, text := range texts {
		list[i] = text
	}
	return list
}

func textAttributes(attributes map[string]string) map[string]any {
	document := make(map[string]any, len(attributes))
	for key, value := range attributes {
		document[key] = value
	}
	return document
}

package world

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"

	"gcp-metadata-emulator/fixtures"
)

// gceMetadata is what the metadata server of a Compute Engine VM serves when its fixture
// sets nothing more: one boot disk, one network interface in the default network, and
// values that fit together.
func gceMetadata(w *World, f fixtures.Instance, accounts []AttachedAccount) map[string]any {
	return map[string]any{
		"instance": gceInstance(w, f, accounts),
		"oslogin":  map[string]any{"authenticate": map[string]any{"sessions": map[string]any{}}},
		"project": map[string]any{
			"attributes":       textAttributes(w.Project.Attributes),
			"numericProjectId": jsonNumber(w.Project.Number),
			"projectId":        w.Project.ID,
		},
		"universe": map[string]any{"universeDomain": w.UniverseDomain},
	}
}

func gceInstance(w *World, f fixtures.Instance, accounts []AttachedAccount) map[string]any {
	return map[string]any{
		"attributes":  map[string]any{},
		"cpuPlatform": "Intel Broadwell",
		"description": "",
		"disks": []any{map[string]any{
			"deviceName": f.Name, "index": jsonNumber(0), "interface": "SCSI",
			"mode": "READ_WRITE", "type": "PERSISTENT-BALANCED",
		}},
		"guestAttributes":   map[string]any{},
		"hostname":          hostname(f.Name, f.Zone, w.Project.ID),
		"id":                jsonNumber(inventedInstanceID(w.Project.ID, f.Name)),
		"image":             "projects/debian-cloud/global/images/debian-12-bookworm-v20260114",
		"licenses":          []any{map[string]any{"id": "2147286739765738111"}},
		"machineType":       fmt.Sprintf("projects/%d/machineTypes/e2-medium", w.Project.Number),
		"maintenanceEvent":  "NONE",
		"name":              f.Name,
		"networkInterfaces": []any{networkInterface(w.Project.Number, f.Name)},
		"partnerAttributes": map[string]any{},
		"preempted":         "FALSE",
		"remainingCpuTime":  json.Number("-1"),
		"scheduling": map[string]any{
			"automaticRestart": "TRUE", "onHostMaintenance": "MIGRATE", "preemptible": "FALSE",
		},
		"serviceAccounts": serviceAccounts(accounts),
		"tags":            []any{},
		"virtualClock":    map[string]any{"driftToken": "0"},
		"zone":            fmt.Sprintf("projects/%d/zones/%s", w.Project.Number, f.Zone),
	}
}

// networkInterface is one in the default network, with an address made from the
// instance's name: gateway, address and MAC agree as Google's do.
func networkInterface(projectNumber uint64, name string) map[string]any {
	const lowestHost, hosts = 2, 250
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name)) // a hash never fails
	address := netip.AddrFrom4([4]byte{10, 128, 0, byte(lowestHost + hash.Sum32()%hosts)})
	octets := address.As4()
	return map[string]any{
		"accessConfigs": []any{map[string]any{"externalIp": "", "type": "ONE_TO_ONE_NAT"}},
		"dnsServers":    []any{"169.254.169.254"},
		"forwardedIps":  []any{},
		"gateway":       "10.128.0.1",
		"ip":            address.String(),
		"ipAliases":     []any{},
		// Google's MAC addresses are 42:01 and the internal IPv4 address.
		"mac":               fmt.Sprintf("42:01:%02x:%02x:%02x:%02x", octets[0], octets[1], octets[2], octets[3]),
		"mtu":               jsonNumber(1460),
		"network":           fmt.Sprintf("projects/%d/networks/default", projectNumber),
		"subnetmask":        "255.255.240.0",
		"targetInstanceIps": []any{},
	}
}

// serviceAccounts lists each account under its e-mail address and under its aliases.
func serviceAccounts(accounts []AttachedAccount) map[string]any {
	listed := map[string]any{}
	for _, attached := range accounts {
		entry := map[string]any{
			"aliases": anyList(attached.Aliases),
			"email":   attached.Account.Email,
			"scopes":  anyList(attached.Scopes),
		}
		listed[attached.Account.Email] = entry
		for _, alias := range attached.Aliases {
			listed[alias] = entry
		}
	}
	return listed
}

// hostname is the zonal DNS name of a VM; the project of a domain puts the domain last
// (https://cloud.google.com/compute/docs/internal-dns).
func hostname(name, zone, projectID string) string {
	if domain, project, scoped := strings.Cut(projectID, ":"); scoped {
		projectID = project + "." + domain
	}
	return name + "." + zone + ".c." + projectID + ".internal"
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

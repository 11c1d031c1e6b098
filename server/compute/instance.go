package compute

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/world"
)

type instanceList struct {
	Kind          string     `json:"kind"`
	ID            string     `json:"id"`
	Items         []instance `json:"items,omitempty"`
	NextPageToken string     `json:"nextPageToken,omitempty"`
	SelfLink      string     `json:"selfLink"`
}

type instance struct {
	Kind              string             `json:"kind"`
	ID                string             `json:"id"`
	CreationTimestamp string             `json:"creationTimestamp"`
	Name              string             `json:"name"`
	Description       string             `json:"description"`
	Tags              tags               `json:"tags"`
	MachineType       string             `json:"machineType"`
	Status            string             `json:"status"`
	Zone              string             `json:"zone"`
	NetworkInterfaces []networkInterface `json:"networkInterfaces"`
	Metadata          metadata           `json:"metadata"`
	ServiceAccounts   []serviceAccount   `json:"serviceAccounts,omitempty"`
	SelfLink          string             `json:"selfLink"`
	CPUPlatform       string             `json:"cpuPlatform"`
}

type tags struct {
	Items []string `json:"items,omitempty"`
}

type metadata struct {
	Kind  string         `json:"kind"`
	Items []metadataItem `json:"items,omitempty"`
}

type metadataItem struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type serviceAccount struct {
	Email  string   `json:"email"`
	Scopes []string `json:"scopes"`
}

type networkInterface struct {
	Kind          string         `json:"kind"`
	Network       string         `json:"network"`
	NetworkIP     string         `json:"networkIP"`
	Name          string         `json:"name"`
	AccessConfigs []accessConfig `json:"accessConfigs,omitempty"`
}

type accessConfig struct {
	Kind  string `json:"kind"`
	Type  string `json:"type"`
	Name  string `json:"name"`
	NatIP string `json:"natIP,omitempty"`
}

// describe returns an instance as the API describes it, from the instance's metadata. The
// status of an instance with metadata is always RUNNING.
func describe(w *world.World, i *world.Instance) instance {
	zone := selfLinks + "projects/" + w.Project.ID + "/zones/" + lastSegment(i.Zone())
	described := instance{
		Kind:              "compute#instance",
		ID:                i.ID(),
		CreationTimestamp: i.CreationTimestamp.Format("2006-01-02T15:04:05.000-07:00"),
		Name:              i.Name,
		Description:       text(w, i, "instance/description"),
		Tags:              tags{Items: fixtures.Texts(value(w, i, "instance/tags"))},
		MachineType:       zone + "/machineTypes/" + lastSegment(text(w, i, "instance/machine-type")),
		Status:            "RUNNING",
		Zone:              zone,
		Metadata:          metadata{Kind: "compute#metadata"},
		SelfLink:          zone + "/instances/" + i.Name,
		CPUPlatform:       text(w, i, "instance/cpu-platform"),
	}
	attributes, _ := value(w, i, "instance/attributes").(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		described.Metadata.Items = append(described.Metadata.Items, metadataItem{Key: key, Value: fmt.Sprint(attributes[key])})
	}
	for _, attached := range i.ServiceAccounts {
		described.ServiceAccounts = append(described.ServiceAccounts, serviceAccount{Email: attached.Account.Email, Scopes: append([]string{}, attached.Scopes...)})
	}
	interfaces, _ := value(w, i, "instance/network-interfaces").([]any)
	for n, entry := range interfaces {
		described.NetworkInterfaces = append(described.NetworkInterfaces, describeInterface(w, n, entry))
	}
	return described
}

func describeInterface(w *world.World, number int, entry any) networkInterface {
	fields, _ := entry.(map[string]any)
	address, _ := fields["ip"].(string)
	network, _ := fields["network"].(string)
	described := networkInterface{
		Kind:      "compute#networkInterface",
		Network:   selfLinks + "projects/" + w.Project.ID + "/global/networks/" + cmp.Or(lastSegment(network), "default"),
		NetworkIP: address,
		Name:      fmt.Sprintf("nic%d", number),
	}
	configs, _ := fields["accessConfigs"].([]any)
	for _, config := range configs {
		fields, _ := config.(map[string]any)
		kind, _ := fields["type"].(string)
		external, _ := fields["externalIp"].(string)
		described.AccessConfigs = append(described.AccessConfigs, accessConfig{
			Kind: "compute#accessConfig", Type: kind, Name: "External NAT", NatIP: external,
		})
	}
	return described
}

// value returns an entry of the instance's metadata, or nil if there is none.
func value(w *world.World, i *world.Instance, path string) any {
	value, err := w.Metadata(i, path)
	if err != nil {
		return nil
	}
	return value
}

func text(w *world.World, i *world.Instance, path string) string {
	text, _ := value(w, i, path).(string)
	return text
}

package compute

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

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
	Scheduling        *scheduling        `json:"scheduling,omitempty"`
	CPUPlatform       string             `json:"cpuPlatform"`
	Labels            map[string]string  `json:"labels,omitempty"`
	LabelFingerprint  string             `json:"labelFingerprint"`
	Fingerprint       string             `json:"fingerprint"`

	created time.Time
}

func (i instance) identity() (name string, created time.Time) { return i.Name, i.created }
func (i instance) id() string                                 { return i.ID }
func (i instance) zone() string                               { return lastSegment(i.Zone) }

type scheduling struct {
	OnHostMaintenance string `json:"onHostMaintenance"`
	AutomaticRestart  bool   `json:"automaticRestart"`
	Preemptible       bool   `json:"preemptible"`
}

type tags struct {
	Fingerprint string `json:"fingerprint"`

	Items []string `json:"items,omitempty"`
}

type metadata struct {
	Kind        string         `json:"kind"`
	Fingerprint string         `json:"fingerprint"`
	Items       []metadataItem `json:"items,omitempty"`
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
	Subnetwork    string         `json:"subnetwork"`
	NetworkIP     string         `json:"networkIP"`
	Name          string         `json:"name"`
	Fingerprint   string         `json:"fingerprint"`
	AccessConfigs []accessConfig `json:"accessConfigs,omitempty"`
}

type accessConfig struct {
	Kind  string `json:"kind"`
	Type  string `json:"type"`
	Name  string `json:"name"`
	NatIP string `json:"natIP,omitempty"`
}

// describe returns an instance as the API describes it, from the instance's metadata and its
// fixture. The status of an instance with metadata is always RUNNING.
func describe(w *world.World, i *world.Instance) instance {
	zone := selfLinks + "projects/" + w.Project.ID + "/zones/" + lastSegment(i.Zone())
	described := instance{
		Kind:              "compute#instance",
		ID:                i.ID(),
		CreationTimestamp: timestamp(i.CreationTimestamp),
		Name:              i.Name,
		Description:       text(w, i, "instance/description"),
		Tags:              tags{Items: fixtures.Texts(value(w, i, "instance/tags"))},
		MachineType:       zone + "/machineTypes/" + lastSegment(text(w, i, "instance/machine-type")),
		Status:            "RUNNING",
		Zone:              zone,
		NetworkInterfaces: networkInterfaces(w, i),
		Metadata:          metadataOf(attributes(w, i)),
		SelfLink:          zone + "/instances/" + i.Name,
		Scheduling:        schedulingOf(w, i),
		CPUPlatform:       text(w, i, "instance/cpu-platform"),
		Labels:            i.Labels,
		LabelFingerprint:  fingerprint(i.Labels),
		created:           i.CreationTimestamp,
	}
	described.Tags.Fingerprint = fingerprint(described.Tags.Items)
	for _, attached := range i.ServiceAccounts {
		described.ServiceAccounts = append(described.ServiceAccounts, serviceAccount{Email: attached.Account.Email, Scopes: append([]string{}, attached.Scopes...)})
	}
	described.Fingerprint = fingerprint(described)
	return described
}

func timestamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.000-07:00") }

// fingerprint returns eight bytes that differ with the value. Clients send them with a change, to
// name the state that they change.
func fingerprint(value any) string {
	const size = 8
	sum := sha256.Sum256([]byte(wire.Compact(value)))
	return base64.StdEncoding.EncodeToString(sum[:size])
}

func attributes(w *world.World, i *world.Instance) map[string]string {
	tree, _ := value(w, i, "instance/attributes").(map[string]any)
	texts := make(map[string]string, len(tree))
	for key, value := range tree {
		texts[key] = fmt.Sprint(value)
	}
	return texts
}

// schedulingOf returns nil if the metadata does not tell how the instance is scheduled.
func schedulingOf(w *world.World, i *world.Instance) *scheduling {
	const yes = "TRUE"
	if value(w, i, "instance/scheduling") == nil {
		return nil
	}
	return &scheduling{
		OnHostMaintenance: text(w, i, "instance/scheduling/on-host-maintenance"),
		AutomaticRestart:  text(w, i, "instance/scheduling/automatic-restart") == yes,
		Preemptible:       text(w, i, "instance/scheduling/preemptible") == yes,
	}
}

func networkInterfaces(w *world.World, i *world.Instance) []networkInterface {
	var described []networkInterface
	interfaces, _ := value(w, i, "instance/network-interfaces").([]any)
	for n, entry := range interfaces {
		nic := describeInterface(w, n, entry)
		nic.Subnetwork = subnetwork(w, i, n, lastSegment(nic.Network))
		nic.Fingerprint = fingerprint(nic)
		described = append(described, nic)
	}
	return described
}

// subnetwork returns the self link of the subnetwork of a network interface. A network in auto mode has
// subnetworks with its own name (https://cloud.google.com/vpc/docs/subnets#auto-mode-considerations).
func subnetwork(w *world.World, i *world.Instance, number int, network string) string {
	name := network
	if number < len(i.Subnetworks) {
		name = i.Subnetworks[number]
	}
	if strings.Contains(name, "/") {
		return selfLinks + name
	}
	return selfLinks + "projects/" + w.Project.ID + "/regions/" + regionOf(lastSegment(i.Zone())) + "/subnetworks/" + name
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

// isMachine reports whether an instance is a virtual machine.
func isMachine(w *world.World, i *world.Instance) bool {
	return text(w, i, "instance/machine-type") != ""
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

// List handles instances.list.
func (s *Server) List(r *http.Request) (wire.Response, error) {
	current, err := s.begin(r, method{"Instances", "List", "compute.instances.list"}, asked(r, ""))
	if err == nil {
		err = checkZone(r, current)
	}
	if err != nil {
		return wire.Response{}, err
	}
	return answerList(r, "compute#instanceList", inProject(current, "/zones/"+r.PathValue("zone")+"/instances"), machines(current, r.PathValue("zone")))
}

// AggregatedList handles instances.aggregatedList.
func (s *Server) AggregatedList(r *http.Request) (wire.Response, error) {
	current, err := s.begin(r, method{"Instances", "AggregatedList", "compute.instances.list"}, asked(r, ""))
	if err != nil {
		return wire.Response{}, err
	}
	return answerAggregate(r, current, aggregation{"compute#instanceAggregatedList", "instances", scopes(current)}, machines(current, ""))
}

// Get handles instances.get. It accepts an instance's name or ID.
func (s *Server) Get(r *http.Request) (wire.Response, error) {
	name := askedZone(r, "/instances/"+r.PathValue("instance"))
	current, err := s.begin(r, method{"Instances", "Get", "compute.instances.get"}, name)
	if err == nil {
		err = checkZone(r, current)
	}
	if err := cmp.Or(err, googleapi.CheckQuery(r, "view")); err != nil {
		return wire.Response{}, err
	}
	return answerOne(r, machines(current, r.PathValue("zone")), r.PathValue("instance"), name)
}

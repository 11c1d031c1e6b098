package compute

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

type instanceGroup struct {
	Kind              string               `json:"kind"`
	ID                string               `json:"id"`
	CreationTimestamp string               `json:"creationTimestamp"`
	Name              string               `json:"name"`
	Description       string               `json:"description"`
	NamedPorts        []fixtures.NamedPort `json:"namedPorts,omitempty"`
	Network           string               `json:"network,omitempty"`
	Fingerprint       string               `json:"fingerprint"`
	Zone              string               `json:"zone"`
	SelfLink          string               `json:"selfLink"`
	Size              int                  `json:"size"`
	Subnetwork        string               `json:"subnetwork,omitempty"`

	created time.Time
}

func (g instanceGroup) identity() (name string, created time.Time) { return g.Name, g.created }
func (g instanceGroup) id() string                                 { return g.ID }
func (g instanceGroup) zone() string                               { return lastSegment(g.Zone) }

// groups returns the instance groups. If a zone is given, it returns those of the zone.
func groups(w *world.World, zone string) []instanceGroup {
	var found []instanceGroup
	for _, group := range w.InstanceGroups {
		if zone == "" || group.Zone == zone {
			found = append(found, describeGroup(w, group))
		}
	}
	return found
}

// describeGroup returns a group as the API describes it. It is as old as its first instance, and in
// the network of this instance.
func describeGroup(w *world.World, group fixtures.InstanceGroup) instanceGroup {
	links := selfLinks + "projects/" + w.Project.ID + "/zones/" + group.Zone
	described := instanceGroup{
		Kind: "compute#instanceGroup", ID: inventedID("group/" + w.Project.ID + "/" + group.Zone + "/" + group.Name), Name: group.Name,
		NamedPorts: group.NamedPorts, Fingerprint: fingerprint(group.NamedPorts), Zone: links,
		SelfLink: links + "/instanceGroups/" + group.Name, Size: len(group.Instances),
	}
	described.created = w.DefaultInstance().CreationTimestamp
	if members := membersOf(w, group); len(members) > 0 {
		described.created = members[0].created
		if len(members[0].NetworkInterfaces) > 0 {
			described.Network, described.Subnetwork = members[0].NetworkInterfaces[0].Network, members[0].NetworkInterfaces[0].Subnetwork
		}
	}
	described.CreationTimestamp = timestamp(described.created)
	return described
}

func membersOf(w *world.World, group fixtures.InstanceGroup) []instance {
	var members []instance
	for _, name := range group.Instances {
		if i, exists := w.Instance(name); exists {
			members = append(members, describe(w, i))
		}
	}
	return members
}

// Groups handles instanceGroups.list.
func (s *Server) Groups(r *http.Request) (wire.Response, error) {
	current, err := s.begin(r, method{"InstanceGroups", "List", "compute.instanceGroups.list"}, asked(r, ""))
	if err == nil {
		err = checkZone(r, current)
	}
	if err != nil {
		return wire.Response{}, err
	}
	return answerList(r, "compute#instanceGroupList", inProject(current, "/zones/"+r.PathValue("zone")+"/instanceGroups"), groups(current, r.PathValue("zone")))
}

// AggregatedGroups handles instanceGroups.aggregatedList.
func (s *Server) AggregatedGroups(r *http.Request) (wire.Response, error) {
	current, err := s.begin(r, method{"InstanceGroups", "AggregatedList", "compute.instanceGroups.list"}, asked(r, ""))
	if err != nil {
		return wire.Response{}, err
	}
	all := scopes(current)
	for _, name := range regionNames(current) { // groups can be regional, too
		all = append(all, "regions/"+name)
	}
	return answerAggregate(r, current, aggregation{"compute#instanceGroupAggregatedList", "instanceGroups", all}, groups(current, ""))
}

// Group handles instanceGroups.get.
func (s *Server) Group(r *http.Request) (wire.Response, error) {
	name := askedZone(r, "/instanceGroups/"+r.PathValue("group"))
	current, err := s.begin(r, method{"InstanceGroups", "Get", "compute.instanceGroups.get"}, name)
	if err := cmp.Or(err, googleapi.CheckQuery(r)); err != nil {
		return wire.Response{}, err
	}
	return answerOne(r, groups(current, r.PathValue("zone")), r.PathValue("group"), name)
}

// member is an instance as its group lists it.
type member struct {
	Instance   string               `json:"instance"`
	NamedPorts []fixtures.NamedPort `json:"namedPorts,omitempty"`
	Status     string               `json:"status"`

	created time.Time
}

func (m member) identity() (name string, created time.Time) {
	return lastSegment(m.Instance), m.created
}

// GroupInstances handles instanceGroups.listInstances.
func (s *Server) GroupInstances(r *http.Request) (wire.Response, error) {
	name := askedZone(r, "/instanceGroups/"+r.PathValue("group"))
	current, err := s.begin(r, method{"InstanceGroups", "ListInstances", "compute.instanceGroups.list"}, name)
	if err != nil {
		return wire.Response{}, err
	}
	if _, err := googleapi.ReadMessage(r, "instance_state"); err != nil { // every instance runs, so every state lists all
		return wire.Response{}, err
	}
	at := slices.IndexFunc(current.InstanceGroups, func(g fixtures.InstanceGroup) bool {
		return g.Name == r.PathValue("group") && g.Zone == r.PathValue("zone")
	})
	if at < 0 {
		return wire.Response{}, notFound(name)
	}
	group := current.InstanceGroups[at]
	var members []member
	for _, i := range membersOf(current, group) {
		members = append(members, member{Instance: i.SelfLink, NamedPorts: group.NamedPorts, Status: i.Status, created: i.created})
	}
	return answerList(r, "compute#instanceGroupsListInstances", inProject(current, "/zones/"+group.Zone+"/instanceGroups/"+group.Name+"/listInstances"), members)
}

package compute

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// googlesZones returns Google's regions, each with the letters of its zones
// (https://cloud.google.com/compute/docs/regions-zones).
func googlesZones() map[string]string {
	const usual = "abc"
	zones := map[string]string{"us-central1": "abcf", "us-east1": "bcd", "europe-west1": "bcd"}
	for region := range strings.FieldsSeq(`
		africa-south1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1 asia-south2
		asia-southeast1 asia-southeast2 asia-southeast3 australia-southeast1 australia-southeast2
		europe-central2 europe-north1 europe-north2 europe-southwest1 europe-west2 europe-west3 europe-west4 europe-west6
		europe-west8 europe-west9 europe-west10 europe-west12 me-central1 me-central2 me-west1
		northamerica-northeast1 northamerica-northeast2 northamerica-south1 southamerica-east1 southamerica-west1
		us-east4 us-east5 us-south1 us-west1 us-west2 us-west3 us-west4`) {
		zones[region] = usual
	}
	return zones
}

// zoneNames returns the names of Google's zones and of the zones of the machines, sorted.
func zoneNames(w *world.World) []string {
	var names []string
	for region, letters := range googlesZones() {
		for _, letter := range letters {
			names = append(names, region+"-"+string(letter))
		}
	}
	for _, instance := range w.Instances {
		if isMachine(w, instance) {
			names = append(names, lastSegment(instance.Zone()))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// regionOf returns the region of a zone; nothing for a name without a hyphen.
func regionOf(zone string) string { return zone[:max(0, strings.LastIndex(zone, "-"))] }

func regionNames(w *world.World) []string {
	var names []string
	for _, zone := range zoneNames(w) {
		names = append(names, regionOf(zone))
	}
	return slices.Compact(names)
}

// scopes returns the keys of an aggregated list of resources in zones.
func scopes(w *world.World) []string {
	names := zoneNames(w)
	for i, name := range names {
		names[i] = "zones/" + name
	}
	return names
}

// creationOfPlaces returns the time at which zones and regions were created, according to Google.
func creationOfPlaces() time.Time {
	const behindUTC = -8 * 60 * 60
	return time.Unix(0, 0).In(time.FixedZone("", behindUTC))
}

type zone struct {
	Kind              string `json:"kind"`
	ID                string `json:"id"`
	CreationTimestamp string `json:"creationTimestamp"`
	Name              string `json:"name"`
	Description       string `json:"description"`
	Status            string `json:"status"`
	Region            string `json:"region"`
	SelfLink          string `json:"selfLink"`
	SupportsPZS       bool   `json:"supportsPzs"`
}

func (z zone) identity() (name string, created time.Time) { return z.Name, creationOfPlaces() }
func (z zone) id() string                                 { return z.ID }

func zones(w *world.World) []zone {
	var all []zone
	links := selfLinks + "projects/" + w.Project.ID
	for _, name := range zoneNames(w) {
		all = append(all, zone{
			Kind: "compute#zone", ID: inventedID("zone/" + name), CreationTimestamp: timestamp(creationOfPlaces()), Name: name, Description: name,
			Status: "UP", Region: links + "/regions/" + regionOf(name), SelfLink: links + "/zones/" + name,
		})
	}
	return all
}

type region struct {
	Kind              string   `json:"kind"`
	ID                string   `json:"id"`
	CreationTimestamp string   `json:"creationTimestamp"`
	Name              string   `json:"name"`
	Description       string   `json:"description"`
	Status            string   `json:"status"`
	Zones             []string `json:"zones"`
	SelfLink          string   `json:"selfLink"`
	SupportsPZS       bool     `json:"supportsPzs"`
}

func (r region) identity() (name string, created time.Time) { return r.Name, creationOfPlaces() }
func (r region) id() string                                 { return r.ID }

func regions(w *world.World) []region {
	links := selfLinks + "projects/" + w.Project.ID
	zonesOf := map[string][]string{}
	for _, name := range zoneNames(w) {
		zonesOf[regionOf(name)] = append(zonesOf[regionOf(name)], links+"/zones/"+name)
	}
	var all []region
	for _, name := range regionNames(w) {
		all = append(all, region{
			Kind: "compute#region", ID: inventedID("region/" + name), CreationTimestamp: timestamp(creationOfPlaces()), Name: name, Description: name,
			Status: "UP", Zones: zonesOf[name], SelfLink: links + "/regions/" + name,
		})
	}
	return all
}

// inventedID returns a number for something to which Google gives a number.
func inventedID(name string) string {
	const digits = 1_000_000_000_000_000_000
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(name)) // a hash never fails
	return strconv.FormatUint(digits+hash.Sum64()%digits, 10)
}

// checkZone returns an error unless the zone in the path exists.
func checkZone(r *http.Request, w *world.World) error {
	name := r.PathValue("zone")
	if _, found := slices.BinarySearch(zoneNames(w), name); !found {
		return googleapi.InvalidArgument(fmt.Sprintf("Invalid value for field 'zone': '%s'. Unknown zone.", name))
	}
	return nil
}

// Zones handles zones.list.
func (s *Server) Zones(r *http.Request) (wire.Response, error) {
	current, err := s.begin(r, method{"Zones", "List", "compute.zones.list"}, asked(r, ""))
	if err != nil {
		return wire.Response{}, err
	}
	return answerList(r, "compute#zoneList", inProject(current, "/zones"), zones(current))
}

// Zone handles zones.get.
func (s *Server) Zone(r *http.Request) (wire.Response, error) {
	name := askedZone(r, "")
	current, err := s.begin(r, method{"Zones", "Get", "compute.zones.get"}, name)
	if err := cmp.Or(err, googleapi.CheckQuery(r)); err != nil {
		return wire.Response{}, err
	}
	return answerOne(r, zones(current), r.PathValue("zone"), name)
}

// Regions handles regions.list.
func (s *Server) Regions(r *http.Request) (wire.Response, error) {
	current, err := s.begin(r, method{"Regions", "List", "compute.regions.list"}, asked(r, ""))
	if err != nil {
		return wire.Response{}, err
	}
	return answerList(r, "compute#regionList", inProject(current, "/regions"), regions(current))
}

// Region handles regions.get.
func (s *Server) Region(r *http.Request) (wire.Response, error) {
	name := asked(r, "/regions/"+r.PathValue("region"))
	current, err := s.begin(r, method{"Regions", "Get", "compute.regions.get"}, name)
	if err := cmp.Or(err, googleapi.CheckQuery(r)); err != nil {
		return wire.Response{}, err
	}
	return answerOne(r, regions(current), r.PathValue("region"), name)
}

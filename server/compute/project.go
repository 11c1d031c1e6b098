package compute

import (
	"cmp"
	"maps"
	"net/http"
	"slices"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

type project struct {
	Kind                   string   `json:"kind"`
	ID                     string   `json:"id"`
	CreationTimestamp      string   `json:"creationTimestamp"`
	Name                   string   `json:"name"`
	CommonInstanceMetadata metadata `json:"commonInstanceMetadata"`
	SelfLink               string   `json:"selfLink"`
	DefaultServiceAccount  string   `json:"defaultServiceAccount"`
	XPNProjectStatus       string   `json:"xpnProjectStatus"`
	DefaultNetworkTier     string   `json:"defaultNetworkTier"`
	VMDNSSetting           string   `json:"vmDnsSetting"`
}

// Project handles projects.get. The project is as old as its first instance.
func (s *Server) Project(r *http.Request) (wire.Response, error) {
	current, err := s.begin(r, method{"Projects", "Get", "compute.projects.get"}, asked(r, ""))
	if err := cmp.Or(err, googleapi.CheckQuery(r)); err != nil {
		return wire.Response{}, err
	}
	own := current.Project
	return googleapi.Reply(r, project{
		Kind: "compute#project", ID: inventedID("project/" + own.ID), CreationTimestamp: timestamp(current.DefaultInstance().CreationTimestamp),
		Name: own.ID, CommonInstanceMetadata: metadataOf(current.ProjectAttributes()), SelfLink: selfLinks + "projects/" + own.ID,
		DefaultServiceAccount: fixtures.ComputeAccount(own.Number), XPNProjectStatus: "UNSPECIFIED_XPN_PROJECT_STATUS",
		DefaultNetworkTier: "PREMIUM", VMDNSSetting: "ZONAL_ONLY",
	}), nil
}

// metadataOf returns attributes as the API lists them.
func metadataOf(attributes map[string]string) metadata {
	described := metadata{Kind: "compute#metadata", Fingerprint: fingerprint(attributes)}
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		described.Items = append(described.Items, metadataItem{Key: key, Value: attributes[key]})
	}
	return described
}

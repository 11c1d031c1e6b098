package world

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
)

// Service is the service that an instance runs, with the settings of the door in front of it. It
// has the name of the instance.
type Service struct {
	Name       string
	Region     string
	URLs       []string // without a slash at the end; the first is the one to show
	Audiences  []string // the custom audiences
	Upstream   *url.URL // nil: nothing listens yet
	HTTP2      bool     // the upstream speaks HTTP/2 without TLS
	Listen     string   // an address of the door's own, HOST:PORT; empty: none
	Timeout    time.Duration
	Internal   bool // only workloads of the project get in
	IsFunction bool // it is called with the permissions of Cloud Functions too

	Authentication fixtures.Authentication
	Signature      fixtures.Signature

	// Resource is the service as a client of the Cloud Run Admin API has written it; nil if none has.
	Resource map[string]any
}

// newService returns the service of an instance, or nil if the instance has no ingress.
func newService(w *World, f fixtures.Instance, instance *Instance) *Service {
	if f.Ingress == nil {
		return nil
	}
	ingress := f.Ingress.Completed()
	service := &Service{
		Name:           f.Name,
		Region:         cmp.Or(ingress.Region, instance.region()),
		Audiences:      ingress.CustomAudiences,
		HTTP2:          ingress.HTTP2,
		Listen:         ingress.Listen,
		Timeout:        time.Duration(ingress.RequestTimeout),
		Internal:       ingress.Traffic == fixtures.TrafficInternal,
		IsFunction:     f.Profile == fixtures.CloudFunctions,
		Authentication: ingress.Authentication,
		Signature:      ingress.Signature,
		Resource:       ingress.Resource,
	}
	if upstream, err := url.Parse(ingress.Upstream); err == nil && upstream.Host != "" {
		service.Upstream = upstream
	}
	for _, address := range slices.Concat(ingress.URLs, service.inventedURLs(w.Project)) {
		if !slices.Contains(service.URLs, address) {
			service.URLs = append(service.URLs, address)
		}
	}
	return service
}

// region returns the region in the metadata of an instance.
func (i *Instance) region() string {
	if name := i.text("instance", "region"); name != "" {
		return name[strings.LastIndexByte(name, '/')+1:]
	}
	zone := i.Zone()
	zone = zone[strings.LastIndexByte(zone, '/')+1:]
	if end := strings.LastIndexByte(zone, '-'); end >= 0 {
		return zone[:end]
	}
	return zone
}

// Path returns the resource name of the service in a project. It is also the service's audience for
// Identity-Aware Proxy.
func (s *Service) Path(p Project) string {
	return "/projects/" + strconv.FormatUint(p.Number, 10) + "/locations/" + s.Region + "/services/" + s.Name
}

// Service finds the service of an instance by its name.
func (w *World) Service(name string) (*Service, bool) {
	instance, ok := w.instancesByName[name]
	if !ok || instance.Service == nil {
		return nil, false
	}
	return instance.Service, true
}

// Services returns all services, in the order of their instances.
func (w *World) Services() []*Service {
	var list []*Service
	for _, instance := range w.Instances {
		if instance.Service != nil {
			list = append(list, instance.Service)
		}
	}
	return list
}

// IAPAgent returns the service agent as which Identity-Aware Proxy calls services
// (https://cloud.google.com/iam/docs/service-agents).
func (w *World) IAPAgent() iam.Principal {
	email := fmt.Sprintf("service-%d@gcp-sa-iap.iam.gserviceaccount.com", w.Project.Number)
	return iam.Principal{Kind: iam.KindServiceAccount, Email: email, ID: inventedID(email)}
}

// HasServices reports whether there is a service.
func (w *World) HasServices() bool { return len(w.servicesByHost) > 0 }

// serviceURL is a URL of a service without the host. Functions share a host, so their path matters.
type serviceURL struct {
	path    string // without a slash at the end; empty: any
	service *Service
}

func (w *World) addServiceURLs(service *Service) {
	for _, address := range service.URLs {
		parsed, err := url.Parse(address)
		if err != nil {
			continue // only if the fixture was not read from a file
		}
		host := strings.ToLower(parsed.Hostname())
		w.servicesByHost[host] = append(w.servicesByHost[host], serviceURL{parsed.EscapedPath(), service})
	}
}

// ServiceAt finds a service by the host and the path of one of its URLs. The host is in lower case
// and has no port. If the host has the prefix of a tag, as in TAG---HOST, it leads to the same
// service (https://cloud.google.com/run/docs/rollouts-rollbacks-traffic-migration#tags).
func (w *World) ServiceAt(host, path string) (*Service, bool) {
	addresses, known := w.servicesByHost[host]
	if _, untagged, tagged := strings.Cut(host, "---"); tagged && !known {
		addresses = w.servicesByHost[untagged]
	}
	for _, at := range addresses {
		if rest, ok := strings.CutPrefix(path, at.path); ok && (at.path == "" || rest == "" || rest[0] == '/') {
			return at.service, true
		}
	}
	return nil, false
}

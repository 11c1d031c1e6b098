package cloudrun

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/uuid"
	launch "google.golang.org/genproto/googleapis/api"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/world"
)

// upstreamAnnotation is the annotation with the address at which a service listens, as in
// "http://127.0.0.1:8080".
const upstreamAnnotation = "gcp-metadata-emulator/upstream"

// Cloud Run's defaults (https://cloud.google.com/run/docs/container-contract), and the image of
// services without an image.
const (
	defaultPort        = 8080
	defaultConcurrency = 80
	everything         = 100 // percent
	placeholder        = "us-docker.pkg.dev/cloudrun/container/placeholder"

	http2Port = "h2c" // the name of a port that speaks HTTP/2 without TLS
)

// message is a service of the world as the Service message of version 2.
func (t target) message(project world.Project) *runpb.Service {
	m := written(t.service.Resource)
	t.fillIn(m)
	m.Name = "projects/" + project.ID + "/locations/" + t.service.Region + "/services/" + t.service.Name
	m.Uid = cmp.Or(m.GetUid(), uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://"+Host+"/"+m.GetName())).String())
	m.Generation = max(m.GetGeneration(), 1)
	m.ObservedGeneration = m.GetGeneration()
	if created := t.instance.CreationTimestamp; m.GetCreateTime() == nil && !created.IsZero() {
		m.CreateTime = timestamppb.New(created)
	}
	if m.GetUpdateTime() == nil {
		m.UpdateTime = m.GetCreateTime()
	}
	m.Urls = t.service.URLs
	if len(m.GetUrls()) > 0 {
		m.Uri = m.GetUrls()[0]
	}
	setStatus(m)
	m.Etag = etag(m)
	return m
}

// written returns the client's own description of a service.
func written(resource map[string]any) *runpb.Service {
	m := &runpb.Service{}
	if err := decode(resource, m); err != nil { // a person has written a fixture with another form
		return &runpb.Service{}
	}
	return m
}

// fillIn sets the world's values of a service, and Cloud Run's defaults for missing fields.
func (t target) fillIn(m *runpb.Service) {
	if m.GetTemplate() == nil {
		m.Template = &runpb.RevisionTemplate{}
	}
	template := m.GetTemplate()
	template.Timeout = durationpb.New(t.service.Timeout)
	if len(t.instance.ServiceAccounts) > 0 {
		template.ServiceAccount = t.instance.ServiceAccounts[0].Email
	}
	template.MaxInstanceRequestConcurrency = cmp.Or(template.GetMaxInstanceRequestConcurrency(), defaultConcurrency)
	if len(template.GetContainers()) == 0 {
		template.Containers = []*runpb.Container{{Image: placeholder}}
	}
	t.fillInPort(template.GetContainers())
	m.CustomAudiences = t.service.Audiences
	if isInternal(m.GetIngress()) != t.service.Internal || m.GetIngress() == runpb.IngressTraffic_INGRESS_TRAFFIC_UNSPECIFIED {
		m.Ingress = runpb.IngressTraffic_INGRESS_TRAFFIC_ALL
		if t.service.Internal {
			m.Ingress = runpb.IngressTraffic_INGRESS_TRAFFIC_INTERNAL_ONLY
		}
	}
	m.LaunchStage = cmp.Or(m.GetLaunchStage(), launch.LaunchStage_GA)
	m.IapEnabled, m.InvokerIamDisabled = checks(t.service.Authentication)
	if len(m.GetTraffic()) == 0 {
		m.Traffic = []*runpb.TrafficTarget{{
			Type: runpb.TrafficTargetAllocationType_TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST, Percent: everything,
		}}
	}
}

// fillInPort sets the port of the container that gets the requests, and its usual resources.
func (t target) fillInPort(containers []*runpb.Container) {
	main := containers[0]
	for _, container := range containers {
		if len(container.GetPorts()) > 0 {
			main = container
		}
	}
	if len(main.GetPorts()) == 0 {
		main.Ports = []*runpb.ContainerPort{{ContainerPort: defaultPort}}
	}
	name := "http1"
	if t.service.HTTP2 {
		name = http2Port
	}
	main.Ports[0].Name = name
	if main.GetResources() == nil {
		main.Resources = &runpb.ResourceRequirements{
			Limits: map[string]string{"cpu": "1000m", "memory": "512Mi"}, CpuIdle: true,
		}
	}
}

func isInternal(ingress runpb.IngressTraffic) bool {
	return ingress > runpb.IngressTraffic_INGRESS_TRAFFIC_ALL
}

// checks are the switches of the checks of a door.
func checks(a fixtures.Authentication) (iap, invokerDisabled bool) {
	return a == fixtures.AuthenticateIAP || a == fixtures.AuthenticateIAPAndInvoker,
		a == fixtures.AuthenticateIAP || a == fixtures.AuthenticateNone
}

// setStatus marks a service as ready. Every service here is ready at once.
func setStatus(m *runpb.Service) {
	ready := func(kind string) *runpb.Condition {
		return &runpb.Condition{Type: kind, State: runpb.Condition_CONDITION_SUCCEEDED, LastTransitionTime: m.GetUpdateTime()}
	}
	m.TerminalCondition = ready("Ready")
	m.Conditions = []*runpb.Condition{ready("RoutesReady"), ready("ConfigurationsReady")}
	revision := m.GetName() + "/revisions/" + revisionOf(m)
	m.LatestReadyRevision, m.LatestCreatedRevision = revision, revision
	m.TrafficStatuses = nil
	for _, target := range m.GetTraffic() {
		status := &runpb.TrafficTargetStatus{
			Type: target.GetType(), Revision: target.GetRevision(), Percent: target.GetPercent(), Tag: target.GetTag(),
		}
		if target.GetTag() != "" {
			status.Uri = strings.Replace(m.GetUri(), "://", "://"+target.GetTag()+"---", 1)
		}
		m.TrafficStatuses = append(m.TrafficStatuses, status)
	}
}

// revisionOf returns the name of the only revision of a service: the client's choice, or
// SERVICE-00001-abc.
func revisionOf(m *runpb.Service) string {
	if chosen := m.GetTemplate().GetRevision(); chosen != "" {
		return chosen
	}
	const letters, length = "bcdfghjklmnpqrstvwxz", 3
	sum := sha256.Sum256([]byte(m.GetUid() + "/" + strconv.FormatInt(m.GetGeneration(), 10)))
	var suffix [length]byte
	for i := range suffix {
		suffix[i] = letters[int(sum[i])%len(letters)]
	}
	name := m.GetName()[strings.LastIndexByte(m.GetName(), '/')+1:]
	return fmt.Sprintf("%s-%05d-%s", name, m.GetGeneration(), suffix[:])
}

// etag is a fingerprint of a service, in quotes as Cloud Run has it.
func etag(m *runpb.Service) string {
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil { // a text in it is not UTF-8
		text = []byte(m.GetUpdateTime().AsTime().Format(time.RFC3339Nano))
	}
	sum := sha256.Sum256(text)
	const length = 15
	return `"` + base64.StdEncoding.EncodeToString(sum[:length]) + `"`
}

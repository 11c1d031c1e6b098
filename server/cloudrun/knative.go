package cloudrun

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// The messages of version 1. They have the form of Knative
// (https://cloud.google.com/run/docs/reference/rest/v1/namespaces.services).
type (
	knativeService struct {
		APIVersion string        `json:"apiVersion"`
		Kind       string        `json:"kind"`
		Metadata   objectMeta    `json:"metadata"`
		Spec       knativeSpec   `json:"spec"`
		Status     knativeStatus `json:"status"`
	}

	objectMeta struct {
		Name              string            `json:"name,omitempty"`
		Namespace         string            `json:"namespace,omitempty"`
		SelfLink          string            `json:"selfLink,omitempty"`
		UID               string            `json:"uid,omitempty"`
		ResourceVersion   string            `json:"resourceVersion,omitempty"`
		Generation        int64             `json:"generation,omitempty"`
		CreationTimestamp string            `json:"creationTimestamp,omitempty"`
		Labels            map[string]string `json:"labels,omitempty"`
		Annotations       map[string]string `json:"annotations,omitempty"`
	}

	knativeSpec struct {
		Template revisionTemplate `json:"template"`
		Traffic  []trafficTarget  `json:"traffic,omitempty"`
	}

	revisionTemplate struct {
		Metadata objectMeta   `json:"metadata"`
		Spec     revisionSpec `json:"spec"`
	}

	revisionSpec struct {
		Concurrency    int32       `json:"containerConcurrency,omitempty"`
		Timeout        int64       `json:"timeoutSeconds,omitempty"`
		ServiceAccount string      `json:"serviceAccountName,omitempty"`
		Containers     []container `json:"containers"`
	}

	container struct {
		Name       string            `json:"name,omitempty"`
		Image      string            `json:"image"`
		Command    []string          `json:"command,omitempty"`
		Args       []string          `json:"args,omitempty"`
		WorkingDir string            `json:"workingDir,omitempty"`
		Env        []envVar          `json:"env,omitempty"`
		Ports      []json.RawMessage `json:"ports,omitempty"`
		Resources  resources         `json:"resources"`
	}

	envVar struct {
		Name      string        `json:"name"`
		Value     string        `json:"value,omitempty"`
		ValueFrom *envVarSource `json:"valueFrom,omitempty"`
	}

	envVarSource struct {
		SecretKeyRef struct {
			Name string `json:"name"`
			Key  string `json:"key"`
		} `json:"secretKeyRef"`
	}

	resources struct {
		Limits map[string]string `json:"limits,omitempty"`
	}

	trafficTarget struct {
		LatestRevision bool   `json:"latestRevision,omitempty"`
		RevisionName   string `json:"revisionName,omitempty"`
		Percent        int32  `json:"percent,omitempty"`
		Tag            string `json:"tag,omitempty"`
		URL            string `json:"url,omitempty"`
	}

	knativeStatus struct {
		ObservedGeneration    int64              `json:"observedGeneration"`
		Conditions            []knativeCondition `json:"conditions"`
		LatestReadyRevision   string             `json:"latestReadyRevisionName"`
		LatestCreatedRevision string             `json:"latestCreatedRevisionName"`
		Traffic               []trafficTarget    `json:"traffic"`
		URL                   string             `json:"url"`
		Address               struct {
			URL string `json:"url"`
		} `json:"address"`
	}

	knativeCondition struct {
		Type               string `json:"type"`
		Status             string `json:"status"`
		LastTransitionTime string `json:"lastTransitionTime,omitempty"`
	}
)

const (
	knativeVersion = "serving.knative.dev/v1"
	knativeKind    = "Service"
)

// GetV1 handles services.get of version 1.
func (s *Server) GetV1(r *http.Request) (wire.Response, error) {
	t, err := s.service(r, "GetService", "run.services.get")
	if err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r); err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, t.knative(s.worlds.Load().State.Project)), nil
}

// ListV1 handles services.list of version 1, on one page.
func (s *Server) ListV1(r *http.Request) (wire.Response, error) {
	if _, err := s.project(r, "ListServices", "run.services.list"); err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r, "continue", "fieldSelector", "includeUninitialized", "labelSelector", "limit", "resourceVersion", "watch"); err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckPlayed(r, "labelSelector"); err != nil {
		return wire.Response{}, err
	}
	w := s.worlds.Load().State
	var list struct {
		APIVersion string           `json:"apiVersion"`
		Kind       string           `json:"kind"`
		Items      []knativeService `json:"items,omitempty"`
	}
	list.APIVersion, list.Kind = knativeVersion, "ServiceList"
	for _, t := range listed(w, r) {
		list.Items = append(list.Items, t.knative(w.Project))
	}
	return googleapi.Reply(r, list), nil
}

// knative is a service of the world as the Service message of version 1.
func (t target) knative(project world.Project) knativeService {
	m := t.message(project)
	number := strconv.FormatUint(project.Number, 10)
	k := knativeService{
		APIVersion: knativeVersion, Kind: knativeKind,
		Metadata: objectMeta{
			Name: t.service.Name, Namespace: number, UID: m.GetUid(), Generation: m.GetGeneration(), ResourceVersion: strings.Trim(m.GetEtag(), `"`),
			SelfLink:          "/apis/" + knativeVersion + "/namespaces/" + number + "/services/" + t.service.Name,
			CreationTimestamp: timestamp(m.GetCreateTime()), Labels: with(m.GetLabels(), "cloud.googleapis.com/location", t.service.Region),
			Annotations: annotations(m),
		},
		Spec: knativeSpec{Template: template(m.GetTemplate()), Traffic: traffic(m.GetTrafficStatuses(), "")},
	}
	latest := m.GetLatestReadyRevision()[strings.LastIndexByte(m.GetLatestReadyRevision(), '/')+1:]
	k.Status = knativeStatus{
		ObservedGeneration: m.GetObservedGeneration(), URL: m.GetUri(), Traffic: traffic(m.GetTrafficStatuses(), latest),
		LatestReadyRevision: latest, LatestCreatedRevision: latest,
	}
	k.Status.Address.URL = m.GetUri()
	for _, condition := range append([]*runpb.Condition{m.GetTerminalCondition()}, m.GetConditions()...) {
		k.Status.Conditions = append(k.Status.Conditions, knativeCondition{condition.GetType(), "True", timestamp(condition.GetLastTransitionTime())})
	}
	return k
}

// annotations returns a service's own annotations, and annotations for fields of version 2.
func annotations(m *runpb.Service) map[string]string {
	const prefix = "run.googleapis.com/"
	set := m.GetAnnotations()
	for name, value := range map[string]string{
		prefix + "ingress":                 ingressName(m.GetIngress()),
		prefix + "ingress-status":          ingressName(m.GetIngress()),
		prefix + "urls":                    wire.Compact(m.GetUrls()),
		prefix + "description":             m.GetDescription(),
		"serving.knative.dev/creator":      m.GetCreator(),
		"serving.knative.dev/lastModifier": m.GetLastModifier(),
	} {
		set = with(set, name, value)
	}
	if len(m.GetCustomAudiences()) > 0 {
		set = with(set, prefix+"custom-audiences", wire.Compact(m.GetCustomAudiences()))
	}
	if m.GetInvokerIamDisabled() {
		set = with(set, prefix+"invoker-iam-disabled", "true")
	}
	if m.GetIapEnabled() {
		set = with(set, prefix+"iap-enabled", "true")
	}
	return set
}

// with is a set of labels or annotations with one more, unless it is empty.
func with(set map[string]string, name, value string) map[string]string {
	if value == "" {
		return set
	}
	if set == nil {
		set = map[string]string{}
	}
	set[name] = value
	return set
}

func ingressName(i runpb.IngressTraffic) string {
	switch i {
	case runpb.IngressTraffic_INGRESS_TRAFFIC_INTERNAL_ONLY:
		return "internal"
	case runpb.IngressTraffic_INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER:
		return "internal-and-cloud-load-balancing"
	case runpb.IngressTraffic_INGRESS_TRAFFIC_NONE:
		return "none"
	case runpb.IngressTraffic_INGRESS_TRAFFIC_ALL, runpb.IngressTraffic_INGRESS_TRAFFIC_UNSPECIFIED:
	}
	return "all"
}

func template(t *runpb.RevisionTemplate) revisionTemplate {
	k := revisionTemplate{
		Metadata: objectMeta{Name: t.GetRevision(), Labels: t.GetLabels(), Annotations: t.GetAnnotations()},
		Spec: revisionSpec{
			Concurrency: t.GetMaxInstanceRequestConcurrency(), Timeout: t.GetTimeout().GetSeconds(), ServiceAccount: t.GetServiceAccount(),
		},
	}
	for name, count := range map[string]int32{"minScale": t.GetScaling().GetMinInstanceCount(), "maxScale": t.GetScaling().GetMaxInstanceCount()} {
		if count > 0 {
			k.Metadata.Annotations = with(k.Metadata.Annotations, "autoscaling.knative.dev/"+name, strconv.Itoa(int(count)))
		}
	}
	for _, c := range t.GetContainers() {
		k.Spec.Containers = append(k.Spec.Containers, containerOf(c))
	}
	return k
}

func containerOf(c *runpb.Container) container {
	k := container{
		Name: c.GetName(), Image: c.GetImage(), Command: c.GetCommand(), Args: c.GetArgs(), WorkingDir: c.GetWorkingDir(),
		Resources: resources{c.GetResources().GetLimits()},
	}
	for _, port := range c.GetPorts() {
		if text, err := protojson.Marshal(port); err == nil {
			k.Ports = append(k.Ports, text)
		}
	}
	for _, v := range c.GetEnv() {
		variable := envVar{Name: v.GetName(), Value: v.GetValue()}
		if secret := v.GetValueSource().GetSecretKeyRef(); secret != nil {
			variable.ValueFrom = &envVarSource{}
			variable.ValueFrom.SecretKeyRef.Name, variable.ValueFrom.SecretKeyRef.Key = secret.GetSecret(), secret.GetVersion()
		}
		k.Env = append(k.Env, variable)
	}
	return k
}

// traffic returns the targets of a service's traffic. Its status names the latest revision; its
// spec does not.
func traffic(targets []*runpb.TrafficTargetStatus, latest string) []trafficTarget {
	list := make([]trafficTarget, len(targets))
	for i, t := range targets {
		isLatest := t.GetType() != runpb.TrafficTargetAllocationType_TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
		list[i] = trafficTarget{LatestRevision: isLatest, RevisionName: t.GetRevision(), Percent: t.GetPercent(), Tag: t.GetTag()}
		if latest == "" {
			continue
		}
		list[i].URL = t.GetUri()
		if isLatest {
			list[i].RevisionName = latest
		}
	}
	return list
}

func timestamp(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	at := t.AsTime()
	const microsecond = 1000
	return fmt.Sprintf("%s.%06dZ", at.Format("2006-01-02T15:04:05"), at.Nanosecond()/microsecond)
}

package cloudrun

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
)

const actAs = "iam.serviceAccounts.actAs"

// edit is a change of a service by a client.
type edit struct {
	world  *world.World // before the change
	caller guard.Caller
	now    time.Time
}

// create describes the instance of a new service, which is in the region of the path.
func (e edit) create(r *http.Request, id string, asked *runpb.Service) (fixtures.Instance, error) {
	location := r.PathValue("location")
	if !fixtures.IsRegion(location) {
		return fixtures.Instance{}, googleapi.NotFound(fmt.Sprintf("Location %s is not found or access is unauthorized.", location))
	}
	if err := checkID(id); err != nil {
		return fixtures.Instance{}, err
	}
	if _, taken := e.world.Instance(id); taken {
		return fixtures.Instance{}, googleapi.AlreadyExists(fmt.Sprintf("Resource '%s' already exists.", id))
	}
	asked.Uid, asked.CreateTime, asked.Creator = newUID(), timestamppb.New(e.now), e.caller.Principal.Email
	asked.Generation = 0
	return e.write(fixtures.Instance{
		Name: id, Profile: fixtures.CloudRun, Zone: location + "-a", CreationTimestamp: e.now, Ingress: &fixtures.Ingress{},
	}, asked)
}

// checkID refuses a text that cannot be the name of a service
// (https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services/create).
func checkID(id string) error {
	const longest = 49
	if len(id) <= longest && fixtures.IsInstanceName(id) {
		return nil
	}
	return googleapi.InvalidArgument(fmt.Sprintf(
		"Invalid service_id %q. It must begin with a letter, have only lower-case letters, digits and hyphens, not end with a hyphen, and be shorter than 50 characters.", id))
}

// write describes an instance with the service of a client's request.
func (e edit) write(f fixtures.Instance, asked *runpb.Service) (fixtures.Instance, error) {
	ingress := *f.Ingress
	ingress.CustomAudiences = asked.GetCustomAudiences()
	ingress.Traffic = fixtures.TrafficAll
	if isInternal(asked.GetIngress()) {
		ingress.Traffic = fixtures.TrafficInternal
	}
	ingress.Authentication = authentication(asked)
	ingress.RequestTimeout = fixtures.Duration(fixtures.DefaultRequestTimeout)
	if timeout := asked.GetTemplate().GetTimeout(); timeout != nil {
		ingress.RequestTimeout = fixtures.Duration(timeout.AsDuration())
	}
	_, hadUpstream := written(ingress.Resource).GetAnnotations()[upstreamAnnotation]
	if upstream, has := asked.GetAnnotations()[upstreamAnnotation]; has || hadUpstream {
		ingress.Upstream = upstream
	}
	ingress.HTTP2 = speaksHTTP2(asked) && !strings.HasPrefix(ingress.Upstream, "https:")
	if err := check(ingress, asked); err != nil {
		return fixtures.Instance{}, err
	}
	account, err := e.account(asked)
	if err != nil {
		return fixtures.Instance{}, err
	}
	f.ServiceAccounts = []fixtures.AttachedAccount{{Email: account, Aliases: []string{"default"}, Scopes: []string{iam.CloudPlatform}}}
	ingress.Resource, err = e.kept(asked)
	f.Ingress = &ingress
	return f, err
}

// kept returns the fields of a client's service that are remembered: all except the fields that are
// computed each time.
func (e edit) kept(asked *runpb.Service) (map[string]any, error) {
	asked.Generation++
	asked.UpdateTime, asked.LastModifier = timestamppb.New(e.now), e.caller.Principal.Email
	asked.Name, asked.Etag, asked.Uri, asked.Urls = "", "", "", nil
	asked.ObservedGeneration, asked.Reconciling, asked.DeleteTime, asked.ExpireTime = 0, false, nil, nil
	asked.Conditions, asked.TerminalCondition, asked.TrafficStatuses = nil, nil, nil
	asked.LatestReadyRevision, asked.LatestCreatedRevision = "", ""
	return encode(asked)
}

// account finds the service account of a service: the client's choice, or else the project's
// default account. The caller must be allowed to act as this account.
func (e edit) account(asked *runpb.Service) (email string, err error) {
	email = asked.GetTemplate().GetServiceAccount()
	if email == "" {
		email = e.world.Project.ComputeAccount()
	}
	account, ok := e.world.Account(email)
	if !ok || e.caller.Need(actAs, account) != nil {
		return "", googleapi.PermissionDenied(fmt.Sprintf("Permission 'iam.serviceaccounts.actAs' denied on service account %s (or it may not exist).", email))
	}
	return account.Email, nil
}

func authentication(asked *runpb.Service) fixtures.Authentication {
	switch {
	case asked.GetIapEnabled() && asked.GetInvokerIamDisabled():
		return fixtures.AuthenticateIAP
	case asked.GetIapEnabled():
		return fixtures.AuthenticateIAPAndInvoker
	case asked.GetInvokerIamDisabled():
		return fixtures.AuthenticateNone
	default:
		return fixtures.AuthenticateInvoker
	}
}

func speaksHTTP2(asked *runpb.Service) bool {
	for _, container := range asked.GetTemplate().GetContainers() {
		for _, port := range container.GetPorts() {
			if port.GetName() == http2Port {
				return true
			}
		}
	}
	return false
}

// check refuses a service if Cloud Run would refuse it, or a fixture cannot describe it.
func check(ingress fixtures.Ingress, asked *runpb.Service) error {
	timeout := time.Duration(ingress.RequestTimeout)
	switch {
	case len(asked.GetTemplate().GetContainers()) == 0:
		return googleapi.InvalidArgument("Violation in CreateServiceRequest.service.template.containers: must have at least one container.")
	case timeout < time.Second || timeout > fixtures.MaxRequestTimeout:
		return googleapi.InvalidArgument(fmt.Sprintf("template.timeout: %s is not from 1s to 3600s.", timeout))
	case ingress.Upstream != "" && !fixtures.IsUpstream(ingress.Upstream):
		return googleapi.InvalidArgument(fmt.Sprintf(
			"The annotation %q is %q, which is not scheme, host and port, as in \"http://127.0.0.1:8080\".", upstreamAnnotation, ingress.Upstream))
	case !fixtures.AreCustomAudiences(ingress.CustomAudiences):
		return googleapi.InvalidArgument(fmt.Sprintf(
			"custom_audiences: an audience is empty, or all of them are longer than %d characters together.", fixtures.MaxCustomAudiences))
	default:
		return nil
	}
}

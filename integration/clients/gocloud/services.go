package main

import (
	"context"
	"errors"
	"slices"

	"cloud.google.com/go/iam/apiv1/iampb"
	cloudrun "cloud.google.com/go/run/apiv2"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// runReport holds the results of a program that manages a service on Cloud Run.
type runReport struct {
	URI        string   `json:"uri"`
	Account    string   `json:"account"`
	Audiences  []string `json:"audiences"`
	Image      string   `json:"image"` // after a change that does not name it
	Generation int64    `json:"generation"`
	Listed     []string `json:"listed"`
	Members    []string `json:"members"`
	Deleted    string   `json:"deleted"` // the code that reading the deleted service gives
}

const servicesParent = "projects/demo-project/locations/us-central1"

// manageService creates a service that runs as an account, changes it, lets a member call it, and
// deletes it.
func manageService(ctx context.Context, id, account, member string) (report runReport, err error) {
	client, err := cloudrun.NewServicesRESTClient(ctx, option.WithEndpoint(emulator()))
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	creating, err := client.CreateService(ctx, &runpb.CreateServiceRequest{Parent: servicesParent, ServiceId: id, Service: &runpb.Service{
		Ingress: runpb.IngressTraffic_INGRESS_TRAFFIC_ALL,
		Template: &runpb.RevisionTemplate{
			ServiceAccount: account, Containers: []*runpb.Container{{Image: "us-docker.pkg.dev/cloudrun/container/hello"}},
		},
	}})
	if err != nil {
		return report, err
	}
	created, err := creating.Wait(ctx)
	if err != nil {
		return report, err
	}
	report.URI, report.Account = created.GetUri(), created.GetTemplate().GetServiceAccount()
	if err := changeService(ctx, client, created.GetName(), &report); err != nil {
		return report, err
	}
	if report.Members, err = letCall(ctx, client, created.GetName(), member); err != nil {
		return report, err
	}
	deleting, err := client.DeleteService(ctx, &runpb.DeleteServiceRequest{Name: created.GetName()})
	if err != nil {
		return report, err
	}
	if _, err := deleting.Wait(ctx); err != nil {
		return report, err
	}
	_, err = client.GetService(ctx, &runpb.GetServiceRequest{Name: created.GetName()})
	if report.Deleted = status.Code(err).String(); status.Code(err) == codes.NotFound {
		err = nil
	}
	return report, err
}

// changeService gives a service a custom audience, and lists the services.
func changeService(ctx context.Context, client *cloudrun.ServicesClient, name string, report *runReport) error {
	changing, err := client.UpdateService(ctx, &runpb.UpdateServiceRequest{
		Service:    &runpb.Service{Name: name, CustomAudiences: []string{"orders"}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"custom_audiences"}},
	})
	if err != nil {
		return err
	}
	changed, err := changing.Wait(ctx)
	if err != nil {
		return err
	}
	report.Audiences, report.Generation = changed.GetCustomAudiences(), changed.GetGeneration()
	report.Image = changed.GetTemplate().GetContainers()[0].GetImage()
	for services := client.ListServices(ctx, &runpb.ListServicesRequest{Parent: servicesParent, PageSize: 1}); ; {
		service, err := services.Next()
		switch {
		case errors.Is(err, iterator.Done):
			slices.Sort(report.Listed)
			return nil
		case err != nil:
			return err
		}
		report.Listed = append(report.Listed, service.GetName())
	}
}

// letCall lets a member call a service, and returns the members that may.
func letCall(ctx context.Context, client *cloudrun.ServicesClient, name, member string) ([]string, error) {
	policy, err := client.GetIamPolicy(ctx, &iampb.GetIamPolicyRequest{Resource: name})
	if err != nil {
		return nil, err
	}
	policy.Bindings = append(policy.Bindings, &iampb.Binding{Role: "roles/run.invoker", Members: []string{member}})
	changed, err := client.SetIamPolicy(ctx, &iampb.SetIamPolicyRequest{Resource: name, Policy: policy})
	if err != nil {
		return nil, err
	}
	return changed.GetBindings()[0].GetMembers(), nil
}

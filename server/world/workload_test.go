package world_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

// added is an instance that runs a service.
func added(region string) fixtures.Instance {
	return fixtures.Instance{
		Name: "search", Profile: fixtures.CloudRun, Zone: region + "-a",
		ServiceAccounts: []fixtures.AttachedAccount{{Email: "7-compute@developer.gserviceaccount.com", Aliases: []string{"default"}, Scopes: []string{iam.CloudPlatform}}},
		Ingress:         &fixtures.Ingress{},
	}
}

func TestWithInstance(t *testing.T) {
	t.Parallel()
	before := worldtest.Parse(t, services)
	after := before.WithInstance(added("us-east1"))
	service, found := after.ServiceAt("search-7.us-east1.run.app", "/")
	if !found || service.Name != "search" || len(after.Instances) != len(before.Instances)+1 {
		t.Fatalf("the service is %+v among %d instances", service, len(after.Instances))
	}
	if _, found := before.ServiceAt("search-7.us-east1.run.app", "/"); found || len(before.Fixture().Instances) != len(before.Instances) {
		t.Error("the world before has changed")
	}
	instance, _ := after.Instance("search")
	if got, err := after.Metadata(instance, "instance/region"); got != "projects/7/regions/us-east1" || instance.ServiceAccounts[0].Account == nil {
		t.Errorf("the instance is in %v (%v), and runs as %+v", got, err, instance.ServiceAccounts)
	}
	if _, found := after.ServiceAt("orders.example.com", "/base/1"); !found {
		t.Error("another service has no URL any more")
	}

	moved := after.WithInstance(added("us-west1"))
	if _, found := moved.ServiceAt("search-7.us-east1.run.app", "/"); found || len(moved.Instances) != len(after.Instances) {
		t.Error("the instance is there twice")
	}
	again := world.New(moved.Fixture())
	if diff := cmp.Diff(moved.Services(), again.Services()); diff != "" {
		t.Errorf("described and made again (-want +got):\n%s", diff)
	}
}

func TestWithoutInstance(t *testing.T) {
	t.Parallel()
	before := worldtest.Parse(t, services)
	orders, _ := before.Service("orders")
	after, err := before.WithoutInstance("orders")
	if err != nil {
		t.Fatal(err)
	}
	if _, found := after.Service("orders"); found || after.Policy(orders) != nil {
		t.Error("the service is still there, or its policy")
	}
	user, _ := before.User("one@example.com")
	if !before.May(user.Principal(), iam.InvokeRoute, orders, time.Time{}) {
		t.Error("the world before has changed")
	}
	if _, found := after.ServiceAt("orders.example.com", "/base"); found {
		t.Error("its URL still leads to it")
	}
	for _, instance := range []string{"resize", "shrink"} {
		if after, err = after.WithoutInstance(instance); err != nil {
			t.Fatal(err)
		}
	}
	if got := after.Fixture().Instances; len(got) != 1 || got[0].Name != "vm" {
		t.Errorf("what is left is %+v", got)
	}
	if _, err := after.WithoutInstance("vm"); !errors.Is(err, world.ErrLastInstance) {
		t.Errorf("removing the last one: %v", err)
	}
	if _, err := after.WithoutInstance("orders"); !errors.Is(err, world.ErrNoEntry) {
		t.Errorf("removing what is not there: %v", err)
	}
}

package world_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

// A role that the emulator does not know is named with its resource and the nearest known role. A custom
// role of the project is known.
func TestUnknownRoles(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, `
serviceAccounts: [{email: a@demo-project.iam.gserviceaccount.com}, {email: b@demo-project.iam.gserviceaccount.com}]
roles: [{id: mine, includedPermissions: [iam.roles.get]}]
users: [{email: eve@example.com}]
instances: [{name: orders, profile: cloud-run, ingress: {}}]
policies:
  - resource: project
    bindings:
      - {role: roles/spanner.databaseUser, members: ["serviceAccount:a@demo-project.iam.gserviceaccount.com"]}
      - {role: roles/spanner.databaseUser, members: ["user:eve@example.com"]}
      - {role: projects/demo-project/roles/mine, members: ["user:eve@example.com"]}
      - {role: roles/viewer, members: ["user:eve@example.com"]}
  - resource: serviceAccounts/b@demo-project.iam.gserviceaccount.com
    bindings: [{role: roles/iam.serviceAccountTokenCreater, members: ["serviceAccount:a@demo-project.iam.gserviceaccount.com"]}]
  - resource: services/orders
    bindings:
      - role: roles/run.invokr
        members: ["serviceAccount:a@demo-project.iam.gserviceaccount.com"]
        condition: {title: never, expression: "false"}
`)
	account, _ := w.Account("b@demo-project.iam.gserviceaccount.com")
	service, _ := w.Service("orders")
	onProject := world.UnknownRole{Role: "roles/spanner.databaseUser", Resource: "projects/demo-project"}
	onAccount := world.UnknownRole{
		Role: "roles/iam.serviceAccountTokenCreater", Nearest: "roles/iam.serviceAccountTokenCreator",
		Resource: "projects/demo-project/serviceAccounts/b@demo-project.iam.gserviceaccount.com",
	}
	onService := world.UnknownRole{Role: "roles/run.invokr", Nearest: "roles/run.invoker", Resource: w.ResourceName(service)}
	if diff := cmp.Diff([]world.UnknownRole{onProject, onAccount, onService}, w.UnknownRoles()); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	who, _ := w.Principal("a@demo-project.iam.gserviceaccount.com")
	for name, test := range map[string]struct {
		on   world.Resource
		want []world.UnknownRole
	}{
		"project": {nil, []world.UnknownRole{onProject}},
		"account": {account, []world.UnknownRole{onProject, onAccount}},
		"service": {service, []world.UnknownRole{onProject}}, // the condition does not hold
	} {
		if diff := cmp.Diff(test.want, w.UnknownRolesOf(who, test.on, time.Now())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := onService.Hint(); got != `did you mean "roles/run.invoker"?` || onProject.Hint() == "" {
		t.Errorf("hint %q", got)
	}
}

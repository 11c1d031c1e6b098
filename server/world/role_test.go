package world_test

import (
	"testing"
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world/worldtest"
)

// A custom role grants its permissions in the policies that name it, from the change of the role on.
func TestCustomRole(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, `
roles: [{id: signer, includedPermissions: [iam.serviceAccounts.signJwt, iam.serviceAccounts.signBlob]}]
users: [{email: dev@example.com}]
policies: [{resource: project, bindings: [{role: projects/demo-project/roles/signer, members: ["user:dev@example.com"]}]}]
`)
	now := time.Date(2026, time.November, 29, 0, 0, 0, 0, time.UTC)
	dev, _ := w.Principal("dev@example.com")
	if !w.May(dev, iam.SignBlob, nil, now) || w.May(dev, iam.GetAccessToken, nil, now) {
		t.Error("the role of the fixture does not grant its own permissions, or others")
	}
	role, ok := w.Role("projects/demo-project/roles/signer")
	if !ok {
		t.Fatal("the role is not found")
	}
	changed := *role
	changed.Permissions = []string{iam.GetAccessToken}
	edited := w.WithRole(&changed)
	if edited.May(dev, iam.SignBlob, nil, now) || !edited.May(dev, iam.GetAccessToken, nil, now) || !w.May(dev, iam.SignBlob, nil, now) {
		t.Error("the change of a role is not seen, or is seen in the world before")
	}
	gone := changed
	gone.DeleteTime = now
	deleted := w.WithRole(&gone)
	if deleted.May(dev, iam.GetAccessToken, nil, now) {
		t.Error("a deleted role grants something")
	}
	const week = 7 * 24 * time.Hour
	kept, found := deleted.Role(changed.Name)
	if !found || kept.IsPurged(now.Add(week)) || !kept.IsPurged(now.Add(week+time.Second)) {
		t.Errorf("deleted, the role is found: %t; it has to be kept for a week", found)
	}
	again := edited.WithoutRole(changed.Name).WithRole(role)
	if again.May(dev, iam.SignBlob, nil, now) || len(again.CustomRoles) != 1 || !edited.May(dev, iam.GetAccessToken, nil, now) {
		t.Error("a binding of an earlier role gives another one with the same name, or the world before has changed")
	}
	if _, found := w.Role("roles/viewer"); !found {
		t.Error("a predefined role is not found")
	}
}

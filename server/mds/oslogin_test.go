package mds_test

import (
	"net/http"
	"testing"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
)

// The project's policy decides which users may log in, also if the emulator does not enforce
// policies.
func TestLogIn(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	rig.replace(t, `
project: {attributes: {enable-oslogin: "TRUE"}}
users: [{email: ada@example.com, uniqueId: "1815"}, {email: bob@example.com}, {email: eve@example.com}, {email: kim@example.com}]
groups: [{email: operators@example.com, members: ["user:bob@example.com"]}]
policies:
  - resource: project
    bindings:
      - {role: roles/compute.osLogin, members: ["user:ada@example.com"]}
      - {role: roles/compute.osAdminLogin, members: ["group:operators@example.com"]}
      - {role: roles/viewer, members: ["user:eve@example.com"]}
      - {role: roles/compute.osLogin, members: ["user:kim@example.com"], condition: {title: never, expression: "false"}}
instances: [{name: demo-vm}]
`)
	const yes, no = `{"success":true}`, `{"success":false}`
	for query, want := range map[string]string{
		"email=ada@example.com&policy=login":      yes,
		"email=1815&policy=login":                 yes, // the name in the login profile
		"email=ADA@example.com&policy=login":      yes,
		"email=ada@example.com&policy=adminLogin": no,
		"email=bob@example.com&policy=login":      yes,
		"email=bob@example.com&policy=adminLogin": yes,
		"email=eve@example.com&policy=login":      no,
		"email=kim@example.com&policy=login":      no,
	} {
		r := request("demo-vm", "/computeMetadata/v1/oslogin/authorize?"+query)
		ctx, refusal := journal.Watched(r.Context())
		got := ask(t, rig, r.WithContext(ctx))
		if got.Body != want || got.ContentType != "application/json" {
			t.Errorf("%s: %q of type %q, want %q", query, got.Body, got.ContentType, want)
		}
		isRefused := refusal.Code == reason.MissingPermission && refusal.Reason != "" && refusal.Hint != "" && refusal.Missing != nil
		if isRefused != (want == no) {
			t.Errorf("%s: the journal gets %+v", query, refusal)
		}
	}
	rig.set(t, "demo-vm", "instance/attributes/enable-oslogin", "false")
	if got := ask(t, rig, request("demo-vm", "/computeMetadata/v1/oslogin/authorize?email=1815&policy=login")); got.Status != http.StatusNotFound {
		t.Errorf("without OS Login: %d %q", got.Status, got.Body)
	}
}

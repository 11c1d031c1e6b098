package integration_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOSLogin runs the programs with which a VM looks up users, their keys and their groups.
func TestOSLogin(t *testing.T) {
	lookPath(t, "google_authorized_keys", "Debian's google-compute-engine-oslogin is not installed:")
	needNamespace(t)
	r := newRig(t)
	printed, complained, err := r.inNamespaceWith(t, []string{"--fixture", "testdata/oslogin.yaml"}, "sh", "clients/oslogin/login.sh", t.TempDir())
	if err != nil {
		t.Fatalf("%v\n%s", err, complained)
	}
	want := []string{
		"user: dev:*:20001:30001::/srv/dev:/bin/bash ",
		"user-by-id: dev:*:20001:30001::/srv/dev:/bin/bash ",
		"stranger: ",
		"keys: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE dev@laptop ",
		"keys-of-other: ", // who may not log in
		"keys-of-stranger: ",
		"group: developers::30001:dev ",
		"groups: developers ",
		"cache: dev:20001 ops_example_com:20002 ",
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(string(printed), "\n"), "\n")); diff != "" {
		t.Errorf("the programs say (-want +got):\n%s%s", diff, complained)
	}
}

package iamcredentials_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/iam"
)

// refused is the outcome of a call without a permission.
func refused(permission string) emulatortest.Outcome {
	return emulatortest.Outcome{
		Status: "PERMISSION_DENIED", Message: "Permission '" + permission + "' denied on resource (or it may not exist).",
		Reason: "IAM_PERMISSION_DENIED", Detail: map[string]string{"permission": permission},
	}
}

// Under --strict the policies of the account and of each delegate decide who may have an access token, in
// JSON and in gRPC alike.
func TestImpersonation(t *testing.T) {
	t.Parallel()
	e := emulatortest.NewStrict(t)
	bearers := e.Bearers(t)
	ok := emulatortest.Outcome{Status: "OK"}
	tests := []struct {
		name, bearer, account string
		delegates             []string
		want                  emulatortest.Outcome
	}{
		{"token creator", "caller", "target", nil, ok},
		{"member of a group", "dev", "target", nil, ok},
		{"condition that holds", "mia", "target", nil, ok},
		{"condition that does not hold", "eve", "target", nil, refused(iam.GetAccessToken)},
		{"only ID tokens", "open", "target", nil, refused(iam.GetAccessToken)},
		{"nobody", "far", "target", nil, refused(iam.GetAccessToken)},
		{"itself", "target", "target", nil, refused(iam.GetAccessToken)},
		{"unknown account", "caller", "nobody", nil, emulatortest.Outcome{
			Status: "NOT_FOUND", Message: "Not found; Gaia id not found for email " + emulatortest.Email("nobody"),
		}},
		{"no chain", "caller", "far", nil, refused(iam.GetAccessToken)},
		{"chain", "caller", "far", []string{"middle", "last"}, ok},
		{"chain by unique ID", "caller", "far", []string{"100000000000000000002", "projects/demo-project/serviceAccounts/" + emulatortest.Email("last")}, ok},
		{"malformed link", "caller", "far", []string{"serviceAccounts/" + emulatortest.Email("middle")}, emulatortest.Outcome{
			Status:  "INVALID_ARGUMENT",
			Message: "Invalid form of account ID serviceAccounts/" + emulatortest.Email("middle") + ". Should be [Gaia ID |Email |Unique ID |] of the account",
		}},
		{"chain that skips one", "caller", "far", []string{"last"}, refused(iam.ImplicitDelegation)},
		{"chain that ends early", "caller", "far", []string{"middle"}, refused(iam.GetAccessToken)},
		{"chain in another order", "caller", "far", []string{"last", "middle"}, refused(iam.ImplicitDelegation)},
		{"chain of another", "dev", "far", []string{"middle", "last"}, refused(iam.ImplicitDelegation)},
		{"chain through nobody", "caller", "far", []string{"nobody"}, emulatortest.Outcome{
			Status: "NOT_FOUND", Message: "Not found; Gaia id not found for email " + emulatortest.Email("nobody"),
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var delegates []string
			for _, delegate := range test.delegates {
				if !strings.ContainsAny(delegate, "/0") {
					delegate = "projects/-/serviceAccounts/" + emulatortest.Email(delegate)
				}
				delegates = append(delegates, delegate)
			}
			for transport, call := range e.Transports() {
				if diff := cmp.Diff(test.want, call(t, bearers[test.bearer], emulatortest.Email(test.account), delegates...)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", transport, diff)
				}
			}
		})
	}
}

package world_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
)

// federated is a world with one pool, which has one provider.
func federated(provider fixtures.WorkloadIdentityProvider) *fixtures.Fixture {
	f := fixtures.Default()
	f.Project.Number = 7
	provider.ID, provider.Issuer = "provider", "https://issuer.example.com"
	f.WorkloadIdentityPools = []fixtures.WorkloadIdentityPool{{ID: "pool", Providers: []fixtures.WorkloadIdentityProvider{provider}}}
	return f
}

func TestFederatedPrincipal(t *testing.T) {
	t.Parallel()
	const name = "projects/7/locations/global/workloadIdentityPools/pool"
	repository := map[string]string{"google.subject": "assertion.sub", "attribute.repo": "assertion.repo", "google.groups": "assertion.groups"}
	tests := []struct {
		name      string
		mapping   map[string]string
		condition string
		claims    map[string]any
		want      iam.Principal
		err       string
	}{
		{
			"all attributes", repository, "",
			map[string]any{"sub": "s", "repo": "r", "groups": []any{"a", "b"}},
			iam.Principal{ID: "s", Groups: []string{"a", "b"}, Attributes: map[string]string{"repo": "r"}},
			"",
		},
		{"the subject alone", repository, "", map[string]any{"sub": "s"}, iam.Principal{ID: "s"}, ""},
		{"127 bytes", repository, "", map[string]any{"sub": strings.Repeat("s", 127)}, iam.Principal{ID: strings.Repeat("s", 127)}, ""},
		{"128 bytes", repository, "", map[string]any{"sub": strings.Repeat("s", 128)}, iam.Principal{}, "the mapped subject is longer than 127 bytes"},
		{"no subject", repository, "", map[string]any{"repo": "r"}, iam.Principal{}, `the mapped attribute "google.subject" is not a STRING`},
		{"an empty subject", repository, "", map[string]any{"sub": ""}, iam.Principal{}, `the mapped attribute "google.subject" is not a STRING`},
		{"a number", repository, "", map[string]any{"sub": 1.0}, iam.Principal{}, `the mapped attribute "google.subject" is not a STRING`},
		{"a boolean attribute", repository, "", map[string]any{"sub": "s", "repo": true}, iam.Principal{}, `the mapped attribute "attribute.repo" is not a STRING`},
		{"groups that are none", repository, "", map[string]any{"sub": "s", "groups": "a"}, iam.Principal{}, `the mapped attribute "google.groups" is not a LIST`},
		{"a group that is none", repository, "", map[string]any{"sub": "s", "groups": []any{1.0}}, iam.Principal{}, `the mapped attribute "google.groups" is not a LIST`},
		{
			"condition met", repository, `google.subject == "s" && attribute.repo == "r" && assertion.x == 1 && "a" in google.groups`,
			map[string]any{"sub": "s", "repo": "r", "x": 1.0, "groups": []any{"a"}},
			iam.Principal{ID: "s", Groups: []string{"a"}, Attributes: map[string]string{"repo": "r"}},
			"",
		},
		{"condition not met", repository, `assertion.x == 1`, map[string]any{"sub": "s", "x": 2.0}, iam.Principal{}, world.ErrCondition.Error()},
		{"condition without a claim", repository, `assertion.x == 1`, map[string]any{"sub": "s"}, iam.Principal{}, world.ErrCondition.Error()},
		{"condition that turns out to be no boolean", repository, `assertion.sub`, map[string]any{"sub": "s"}, iam.Principal{}, world.ErrCondition.Error()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, err := world.Checked(federated(fixtures.WorkloadIdentityProvider{AttributeMapping: test.mapping, AttributeCondition: test.condition}))
			if err != nil {
				t.Fatal(err)
			}
			got, err := w.Pools[0].Providers[0].Principal(w.Pools[0], test.claims)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("error %v, want %q", err, test.err)
				}
				return
			}
			test.want.Kind, test.want.Pool = iam.KindFederated, name
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

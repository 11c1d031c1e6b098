package sts_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/token"
)

const goodBoundary = `{"accessBoundaryRules": [{"availableResource": "//storage.googleapis.com/projects/_/buckets/b", ` +
	`"availablePermissions": ["inRole:roles/storage.objectViewer"], "availabilityCondition": {"expression": "true"}}]}`

func (r *rig) source(t testing.TB) token.Token {
	t.Helper()
	account, _ := r.world.Account("a@my-project.iam.gserviceaccount.com")
	source, err := r.issuer.Access(t.Context(), token.ForAccount(account, []string{scope}), 30*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func (r *rig) downscope(source, boundary string) answer {
	return r.exchange(exchangeForm(source, url.Values{
		"audience": {""}, "scope": {""}, "subject_token_type": {accessType}, "options": {`{"accessBoundary": ` + boundary + `}`},
	}))
}

func TestDownscope(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	source := r.source(t)
	got := r.downscope(source.Text, goodBoundary)
	access, fields := r.granted(t, got)
	if diff := cmp.Diff(map[string]any{"issued_token_type": accessType, "token_type": "Bearer"}, fields); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if access.Principal.Email != "a@my-project.iam.gserviceaccount.com" || access.Expires != source.Expires.Unix() ||
		!strings.HasPrefix(string(access.Boundary), `{"accessBoundaryRules":[{"availableResource":`) {
		t.Errorf("the token says %+v, %s", access, access.Boundary)
	}
	var answered struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(got.body), &answered); err != nil {
		t.Fatal(err)
	}
	if again := r.downscope(answered.AccessToken, goodBoundary); again.status != http.StatusBadRequest {
		t.Errorf("a second boundary is answered with %d %s", again.status, again.body)
	}
	if err := r.issuer.Revoke(t.Context(), source.Text); err != nil {
		t.Fatal(err)
	}
	if _, err := r.issuer.Recognise(answered.AccessToken); err == nil {
		t.Error("the token outlives the one that it was made of")
	}
	if after := r.downscope(source.Text, goodBoundary); after.status != http.StatusBadRequest {
		t.Errorf("a revoked token is answered with %d %s", after.status, after.body)
	}
}

func TestAccessBoundaries(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	source := r.source(t).Text
	rule := `{"availableResource": "//storage.googleapis.com/projects/_/buckets/b", "availablePermissions": ["inRole:roles/storage.admin"]}`
	rules := func(list ...string) string { return `{"accessBoundaryRules": [` + strings.Join(list, ",") + `]}` }
	eleven := strings.Split(strings.Repeat(rule+"\n", 11), "\n")[:11]
	for boundary, problem := range map[string]string{
		`{}`:             "it has 0 rules, but 1 to 10 are allowed",
		`[]`:             "it is not an access boundary",
		rules():          "it has 0 rules, but 1 to 10 are allowed",
		rules(eleven...): "it has 11 rules, but 1 to 10 are allowed",
		rules(rule, `{"availableResource": "//pubsub.googleapis.com/x", "availablePermissions": ["inRole:x"]}`): "the availableResource of rule 1 is not of the form //storage.googleapis.com/projects/_/buckets/BUCKET",
		rules(`{"availableResource": "//storage.googleapis.com/projects/_/buckets/b"}`):                         "rule 0 has no availablePermissions",
		rules(strings.Replace(rule, "inRole:", "", 1)):                                                          `permission \"roles/storage.admin\" of rule 0 is not of the form inRole:ROLE`,
		rules(strings.Replace(rule, "}", `, "availabilityCondition": {"title": "t"}}`, 1)):                      "the availabilityCondition of rule 0 has no expression",
		rules(strings.Replace(rule, "}", `, "x": 1}`, 1)):                                                       "it is not an access boundary",
	} {
		got := r.downscope(source, boundary)
		if !strings.Contains(got.body, `"Invalid value for \"options.accessBoundary\": `+problem+`."`) || got.status != http.StatusBadRequest {
			t.Errorf("%s is answered with %d %s, want %s", boundary, got.status, got.body, problem)
		}
	}
	r.granted(t, r.downscope(source, rules(eleven[:10]...)))
	r.granted(t, r.downscope(source, "null"))
}

package oslogin_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/oslogin"
	"gcp-metadata-emulator/server/world/worldtest"
)

// The pages of a list have everybody once, in order, and the last page of users has nobody.
func TestPages(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, `users: [{email: a@example.com}, {email: b@example.com}, {email: c@example.com}]
groups:
  - {email: x@example.com, posixGroup: {name: x, gid: 5}}
  - {email: y@example.com}
  - {email: z@example.com, posixGroup: {name: z, gid: 6}}
`)
	for _, test := range []struct {
		size string
		want string
	}{{"1", "a|b|c|"}, {"2", "a b|c|"}, {"3", "a b c|"}, {"99999999999", "a b c|"}, {"", "a b c|"}} {
		var pages []string
		query := url.Values{"pagesize": {test.size}}
		for token := ""; token != "0"; query.Set("pagetoken", token) {
			var page struct {
				LoginProfiles []struct {
					PosixAccounts []struct{ Username string }
				}
				NextPageToken string
			}
			answer, err := oslogin.Users(w, oslogin.Profiles(w), query)
			decode(t, answer, err, &page)
			var names []string
			for _, one := range page.LoginProfiles {
				name, _, _ := strings.Cut(one.PosixAccounts[0].Username, "_")
				names = append(names, name)
			}
			pages, token = append(pages, strings.Join(names, " ")), page.NextPageToken
		}
		if got := strings.Join(pages, "|"); got != test.want {
			t.Errorf("pages of %q users: %q, want %q", test.size, got, test.want)
		}
	}
	var first, second struct {
		PosixGroups   []oslogin.Group
		NextPageToken string
	}
	answer, err := oslogin.Groups(w, url.Values{"pagesize": {"1"}})
	decode(t, answer, err, &first)
	answer, err = oslogin.Groups(w, url.Values{"pagesize": {"1"}, "pagetoken": {first.NextPageToken}})
	decode(t, answer, err, &second)
	if diff := cmp.Diff([]oslogin.Group{{Name: "x", GID: "5"}, {Name: "z", GID: "6"}}, append(first.PosixGroups, second.PosixGroups...)); diff != "" || second.NextPageToken != "0" {
		t.Errorf("groups (-want +got):\n%s, ending with %q", diff, second.NextPageToken)
	}
	answer, err = oslogin.Groups(worldtest.Parse(t, "users: []"), url.Values{})
	if diff := cmp.Diff(map[string]any{"nextPageToken": "0"}, answer); diff != "" || err != nil {
		t.Errorf("groups of a world without any (-want +got):\n%s%v", diff, err)
	}
}

// decode reads an answer as a client does.
func decode(t *testing.T, answer any, err error, into any) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, into); err != nil {
		t.Fatal(err)
	}
}

// A document of a fixture may be a text, may write numbers in both ways, and may lack anything.
func TestDocuments(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, "users: []")
	const text = `{"loginProfiles": [1, {}, {"posixAccounts": [2, {}]}, {"posixAccounts": [{"uid": "1"}, {"username": "ada", "uid": 20001}]}]}`
	for _, query := range []url.Values{{"username": {"ada"}}, {"uid": {"20001"}}, {"uid": {"1"}}} {
		if answer, err := oslogin.Users(w, oslogin.ProfilesIn(text), query); err != nil || answer == nil {
			t.Errorf("%v: %v, %v", query, answer, err)
		}
	}
	for _, document := range []any{nil, "", "{", "[]", `{"loginProfiles": {}}`, map[string]any{}, []any{}} {
		if got := oslogin.ProfilesIn(document); len(got) > 0 {
			t.Errorf("%v has the profiles %v", document, got)
		}
	}
	for _, query := range []url.Values{{"username": {"<nil>"}}, {"uid": {""}}} {
		if answer, err := oslogin.Users(w, oslogin.ProfilesIn(text), query); err == nil {
			t.Errorf("%v: %v", query, answer)
		}
	}
}

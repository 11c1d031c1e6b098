package integration_test

import (
	"net/http"
	"slices"
	"testing"
)

// goAdmin holds the results of the Go client of the IAM API.
type goAdmin struct {
	Email, UniqueID string
	Token           accessToken
	Members         []string
	Stale, Deleted  int
}

func TestGoAdministration(t *testing.T) {
	r := newRig(t)
	const member = "user:dev@example.com"
	got := report[goAdmin](t, r.exec(t, r.stage.GoCloud, "admin", "go-made", member))
	if got.Email != "go-made@demo-project.iam.gserviceaccount.com" || len(got.UniqueID) != 21 {
		t.Errorf("account %s, unique ID %q", got.Email, got.UniqueID)
	}
	if got.Token.Type != "Bearer" {
		t.Errorf("token of type %q", got.Token.Type)
	}
	checkExpiry(t, "a new key", got.Token.Expiry)
	if !slices.Equal(got.Members, []string{member}) {
		t.Errorf("members %q, want %q", got.Members, member)
	}
	if got.Stale != http.StatusConflict || got.Deleted != http.StatusNotFound {
		t.Errorf("a change with an old etag: %d, a deleted account: %d", got.Stale, got.Deleted)
	}
}

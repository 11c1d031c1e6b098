package iam_test

import (
	"strings"
	"testing"

	"gcp-metadata-emulator/server/iam"
)

func TestCanonicalScopes(t *testing.T) {
	t.Parallel()
	for requested, want := range map[string]string{
		"":                              "",
		iam.CloudPlatform:               iam.CloudPlatform,
		"email":                         iam.EmailScope,
		"profile email":                 iam.ProfileScope + " " + iam.EmailScope,
		"email " + iam.EmailScope:       iam.EmailScope,
		"openid drive openid drive":     "openid drive",
		"Email":                         "Email", // names have a case
		iam.ProfileScope + " b profile": iam.ProfileScope + " b",
	} {
		if got := strings.Join(iam.CanonicalScopes(strings.Fields(requested)), " "); got != want {
			t.Errorf("CanonicalScopes(%q) = %q, want %q", requested, got, want)
		}
	}
}

func TestCoverScopes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		granted, wanted string
		want            bool
	}{
		{"a b", "b a", true},
		{"a", "a a", true},
		{"a", "b", false},
		{"a", "", true},
		{"", "a", false},
		{"email", iam.EmailScope, true},
		{iam.ProfileScope, "profile", true},
		{"email", "profile", false},
	} {
		if got := iam.CoverScopes(strings.Fields(test.granted), strings.Fields(test.wanted)); got != test.want {
			t.Errorf("CoverScopes(%q, %q) = %v", test.granted, test.wanted, got)
		}
	}
}

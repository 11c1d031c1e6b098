package hostname_test

import (
	"slices"
	"testing"

	"gcp-metadata-emulator/server/router/hostname"
)

func TestOf(t *testing.T) {
	t.Parallel()
	for hostport, want := range map[string]string{
		"":                              "",
		"LocalHost":                     "localhost",
		"127.0.0.1:8254":                "127.0.0.1",
		"[::1]:8254":                    "::1",
		"[::1]":                         "::1",
		"::1":                           "::1",
		"metadata.google.internal.":     "metadata.google.internal",
		"metadata.google.internal.:80":  "metadata.google.internal",
		"OAuth2.googleapis.com:443":     "oauth2.googleapis.com",
		"[::ffff:169.254.169.254]:80":   "169.254.169.254",
		"[::FFFF:7f00:1]:80":            "127.0.0.1",
		"[0:0:0:0:0:0:0:1]:80":          "::1",
		"[fe80::1%eth0]:80":             "fe80::1%eth0",
		"oauth2.googleapis.com:443:443": "oauth2.googleapis.com:443:443",
	} {
		if got := hostname.Of(hostport); got != want {
			t.Errorf("Of(%q) = %q, want %q", hostport, got, want)
		}
	}
}

func TestGoogle(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"oauth2.googleapis.com":           true,
		"sts.mtls.googleapis.com":         true,
		"sts.us-east1.rep.googleapis.com": true,
		"accounts.google.com":             true,
		"www.gstatic.com":                 true,
		"googleapis.com":                  false,
		"www.google.com":                  false,
		"evil-googleapis.com":             false,
		"accounts.google.com.evil.com":    false,
		"metadata.google.internal":        false,
	} {
		if got := hostname.IsGoogle(host); got != want {
			t.Errorf("IsGoogle(%q) = %v", host, got)
		}
	}
	for host, want := range map[string]bool{
		"metadata": true, "metadata.google.internal": true, "metadata.goog": true,
		"vm.c.project.internal": false, "other.metadata.google.internal": false, "169.254.169.254": false,
	} {
		if got := hostname.IsMetadata(host); got != want {
			t.Errorf("IsMetadata(%q) = %v", host, got)
		}
	}
}

func TestService(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"orders-123456789012.us-central1.run.app":     true,
		"orders-abcdefghij-uc.a.run.app":              true,
		"us-central1-demo-project.cloudfunctions.net": true,
		"run.app":                false,
		"prun.app":               false,
		"run.googleapis.com":     false,
		"orders.run.app.evil.io": false,
	} {
		if hostname.IsService(host) != want || want && !hostname.IsOfGoogle(host) {
			t.Errorf("%q: %v", host, !want)
		}
	}
}

// The functions classify the names of this machine and of Google.
func TestMeanings(t *testing.T) {
	t.Parallel()
	type meanings struct{ localhost, loopback, ofGoogle bool }
	machine, below, google := meanings{localhost: true, loopback: true}, meanings{loopback: true}, meanings{ofGoogle: true}
	for hostport, want := range map[string]meanings{
		"localhost": machine, "LOCALHOST.:80": machine, "127.0.0.1:80": machine, "127.8.9.1": machine, "[::1]:80": machine,
		"[::ffff:127.0.0.1]:80": machine,
		"vm.localhost":          below, "a.b.LocalHost:80": below,
		"oauth2.googleapis.com": google, "metadata": google, "metadata.google.internal:80": google,
		"169.254.169.254": google, "[fd20:ce::254]:80": google,
		"": {}, "notlocalhost": {}, "localhost.example.com": {}, "128.0.0.1": {}, "127.0.0.1.example.com": {}, "0.0.0.0": {}, "[::]": {},
		"169.254.169.253": {}, "metadata.example.com": {},
	} {
		host := hostname.Of(hostport)
		got := meanings{hostname.IsLocalhost(host), hostname.IsLoopback(host), hostname.IsOfGoogle(host)}
		if got != want {
			t.Errorf("%q: %+v, want %+v", hostport, got, want)
		}
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"sts.example.goog":              "sts.googleapis.com",
		"sts.mtls.example.goog":         "sts.mtls.googleapis.com",
		"sts.us-east1.rep.example.goog": "sts.us-east1.rep.googleapis.com",
		"example.goog":                  "example.goog",
		"evil-example.goog":             "evil-example.goog",
		"sts.example.goog.evil.example": "sts.example.goog.evil.example",
		"sts.googleapis.com":            "sts.googleapis.com",
		"metadata.google.internal":      "metadata.google.internal",
	} {
		if got := hostname.Canonical(host, "example.goog"); got != want {
			t.Errorf("Canonical(%q) = %q, want %q", host, got, want)
		}
	}
	for _, universe := range []string{"", hostname.DefaultUniverse} {
		if got := hostname.Canonical("x.googleapis.com", universe); got != "x.googleapis.com" {
			t.Errorf("in universe %q, Canonical = %q", universe, got)
		}
		if got := hostname.DomainsOf(universe); len(got) != len(hostname.Domains()) {
			t.Errorf("domains of universe %q: %q", universe, got)
		}
	}
	if got := hostname.DomainsOf("example.goog"); !slices.Contains(got, "example.goog") || !slices.Contains(got, "googleapis.com") {
		t.Errorf("domains: %q", got)
	}
}

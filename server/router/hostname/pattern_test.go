package hostname_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/router/hostname"
)

func patterns(t *testing.T, texts ...string) []hostname.Pattern {
	t.Helper()
	read := make([]hostname.Pattern, len(texts))
	for i, text := range texts {
		if err := read[i].UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return read
}

func TestListed(t *testing.T) {
	t.Parallel()
	list := patterns(t, "Proxy.example.com", "*.PyPI.org.", "[::1]", "0:0::2", "my_host", "1.2.3.4.", "10.4.0.0/16", "FD00::/8")
	for host, want := range map[string]bool{
		"proxy.example.com": true, "x.proxy.example.com": false, "files.pypi.org": true, "a.b.pypi.org": true,
		"pypi.org": false, "notpypi.org": false, "::1": true, "::2": true, "::3": false, "my_host": true, "1.2.3.4": true, "": false,
		"10.4.255.1": true, "10.5.0.1": false, "fd12::1": true, "fd12::1%eth0": true, "fe80::1": false, "10.4.0.0/16": false,
	} {
		if got := hostname.IsListed(host, list); got != want {
			t.Errorf("IsListed(%q) = %v", host, got)
		}
	}
	if !hostname.IsListed("anything", patterns(t, "*")) || hostname.IsListed("anything", []hostname.Pattern{{}}) || (hostname.Pattern{}).Matches("") {
		t.Error("\"*\" stands for any host, and only for that")
	}
}

func TestPatternsAreWrittenAsTheyAreRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"*": "*", "*.Example.com.": "*.example.com", "Example.com": "example.com", "[::1]": "::1", "FD00::/8": "fd00::/8", "": ""} {
		var read hostname.Pattern
		if text != "" {
			read = patterns(t, text)[0]
		}
		if read.String() != want || read.IsAny() != (text == "*") {
			t.Errorf("%q is read as %q, any: %t", text, read, read.IsAny())
		}
	}
}

// hints are texts that are not hosts, with the right texts.
func hints() map[string]string {
	const forms = "write example.com, *.example.com for the hosts below a domain, 10.4.0.0/16 for the addresses of a range, or * for all hosts"
	return map[string]string{
		"": forms, "*.": forms, ".": forms, "..": forms, "*.*": forms, "**": forms, "*..": forms, "a.*.com": forms, "a b": forms,
		"user@example.com": forms, "example.com/": forms, "a..b": forms, "1.2.3": forms, "127.1": forms, "300.1.1.1": forms, "0x7f000001": forms,
		"2130706433": forms, "[::1": forms, "::1]": forms, "http://": forms, "*://x": "leave out the scheme and the path: write x",
		strings.Repeat("a", 64) + ".com":  forms,
		strings.Repeat("a.", 127) + "com": forms,
		"http://x":                        "leave out the scheme and the path: write x",
		"https://Example.com:443/path":    "leave out the scheme and the path: write example.com",
		"http://[::1]:80":                 "leave out the scheme and the path: write ::1",
		".example.com":                    "write *.example.com for the hosts below the domain, and example.com for the domain itself",
		"*..example.com":                  "write *.example.com for the hosts below the domain, and example.com for the domain itself",
		"*.*.com":                         "an asterisk stands for whole labels at the start: write *.com",
		"*example.com":                    "an asterisk stands for whole labels at the start: write *.example.com",
		"*.127.0.0.1":                     "no host is below an address: write 127.0.0.1",
		"*.::1":                           "no host is below an address: write ::1",
		"10.4.7.9/16":                     "write 10.4.0.0/16 for the range, and 10.4.7.9 for the address alone",
		"::ffff:10.4.7.0/112":             "write the range of IPv4 addresses, such as 10.4.7.0/24",
		"0.0.0.0/0":                       "write a narrower range, such as 10.0.0.0/8, or * for all hosts",
		"10.4.7.9/0":                      "write a narrower range, such as 10.0.0.0/8, or * for all hosts",
		"::/0":                            "write a narrower range, such as 10.0.0.0/8, or * for all hosts",
		"10.4.0.0/33":                     forms,
		"bücher.example":                  "write the name in ASCII, as programs send it: xn--…",
	}
}

func TestPatternsThatMatchByAccident(t *testing.T) {
	t.Parallel()
	withPort := map[string]string{
		"example.com:80": "leave out the port: write example.com", "[::1]:80": "leave out the port: write ::1",
		":443": "", "*:80": "", "example.com:443:443": "",
	}
	maps.Copy(withPort, hints())
	for text, hint := range withPort {
		var read hostname.Pattern
		err := read.UnmarshalText([]byte(text))
		hinted, ok := errors.AsType[*hostname.PatternError](err)
		if !ok || hint != "" && hinted.Hint() != hint || hinted.Hint() == "" || read != (hostname.Pattern{}) {
			t.Errorf("%q: %v, %#v, and is read as %q", text, err, hinted, read)
		}
	}
	for text, hint := range hints() {
		var read hostname.Target
		hinted, ok := errors.AsType[*hostname.PatternError](read.UnmarshalText([]byte(text)))
		if !ok || !strings.HasPrefix(hinted.Hint(), hint+"; a port") || hinted.Text != text {
			t.Errorf("target %q: %#v", text, hinted)
		}
	}
}

// A target can be a range of addresses, with a port or without.
func TestTargetsOfRange(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]map[string]bool{
		"10.4.0.0/16":     {"443": true, "80": true},
		"10.4.0.0/16:443": {"443": true, "80": false},
	} {
		var target hostname.Target
		if err := target.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		for port, want := range want {
			if target.Includes("10.4.7.9", port) != want || target.Includes("10.5.7.9", port) || target.Names("10.4.7.9", port) {
				t.Errorf("%q, port %s: %+v", text, port, target)
			}
		}
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]map[string]bool{
		"Example.com.":           {"example.com:80": true, "example.com:443": true, "x.example.com:80": false},
		"example.com:443":        {"example.com:443": true, "example.com:80": false},
		"*.example.com:443":      {"a.example.com:443": true, "a.b.example.com:443": true, "a.example.com:80": false, "example.com:443": false},
		"*":                      {"anything:1": true},
		"*:443":                  {"anything:443": true, "anything:80": false},
		"10.9.9.2:1":             {"10.9.9.2:1": true, "10.9.9.2:80": false},
		"::1":                    {"::1:80": true},
		"[::1]":                  {"::1:80": true},
		"[0:0::1]:80":            {"::1:80": true, "::1:81": false},
		"storage.googleapis.com": {"storage.googleapis.com:443": true, "www.googleapis.com:443": false},
		"my_host":                {"my_host:80": true},
	} {
		var target hostname.Target
		if err := target.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if target.IsAny() != (text == "*" || text == "*:443") {
			t.Errorf("%q is any host: %v", text, target.IsAny())
		}
		for asked, want := range want {
			at := strings.LastIndex(asked, ":")
			host, port := asked[:at], asked[at+1:]
			if got := target.Includes(host, port); got != want || target.Names(host, port) != (want && !strings.HasPrefix(text, "*")) {
				t.Errorf("%q includes %s: %v, names it: %v", text, asked, got, target.Names(host, port))
			}
		}
	}
	for _, text := range []string{":443", "https://example.com:443", "example.com:https", "example.com:0", "example.com:65536", "example.com:443:443"} {
		var target hostname.Target
		if err := target.UnmarshalText([]byte(text)); err == nil || (target != hostname.Target{}) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if (hostname.Target{}).Includes("example.com", "80") || (hostname.Target{}).Names("", "") {
		t.Error("no target is every host")
	}
}

// If a target is wider than Google's domains, it does not mean Google's hosts in it.
func TestTargetsThatMeanGoogles(t *testing.T) {
	t.Parallel()
	for host, targets := range map[string]map[string]bool{
		"storage.googleapis.com": {
			"storage.googleapis.com": true, "storage.googleapis.com:443": true, "*.googleapis.com": true, "*.googleapis.com:443": true,
			"storage.googleapis.com:80": false, "*.googleapis.com:80": false, "*": false, "*:443": false, "*.com": false, "*.com:443": false, "*.example.com": false,
		},
		"s3.mtls.googleapis.com":   {"*.mtls.googleapis.com": true, "*.googleapis.com": true, "*.com": false},
		"accounts.google.com":      {"accounts.google.com": true, "*.google.com": false, "*.com": false},
		"shop-1.run.app":           {"*.run.app": true, "shop-1.run.app": true, "*.app": false},
		"metadata.google.internal": {"metadata.google.internal": true, "*.internal": false, "*.google.internal": false},
		"metadata.goog":            {"metadata.goog": true, "*.goog": false},
		"169.254.169.254":          {"169.254.169.254": true, "169.254.169.254:443": true, "169.254.0.0/16": false, "169.254.169.254/32": false, "*": false},
		"fd20:ce::254":             {"fd20:ce::254": true, "fd00::/8": false},
	} {
		for text, want := range targets {
			var target hostname.Target
			if err := target.UnmarshalText([]byte(text)); err != nil {
				t.Errorf("%q: %v", text, err)
			}
			if got := target.MeansGoogles(host, "443"); got != want {
				t.Errorf("%q means %s: %t", text, host, got)
			}
		}
	}
}

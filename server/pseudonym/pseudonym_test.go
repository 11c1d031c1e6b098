package pseudonym_test

import (
	"strings"
	"testing"

	"gcp-metadata-emulator/server/pseudonym"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a dev@example.com, b@x.org, dev@example.com": "a EMAIL-1, EMAIL-2, EMAIL-1",
		"dev%40example.com":                           "EMAIL-1",
		"10.128.0.2 via 10.128.0.1, 169.254.169.254, 127.0.0.1, 255.255.240.0, 1.2.3.400": "IP-1 via IP-2, 169.254.169.254, 127.0.0.1, 255.255.240.0, 1.2.3.400",
		"2600:1900::1 at 12:00:05, fe80::1":                                               "IP-1 at 12:00:05, fe80::1",
		"2600:1900:4000:1:0:0:0:5/96":                                                     "IP-1/96",
		"42:01:0a:80:00:02":                                                               "MAC-1",
		"projects/123456789012/zones/us-west1-b":                                          "projects/ID-1/zones/us-west1-b",
		"00c61b00c61b00c61b00c61b00c61b":                                                  "ID-1",
		`"ETag: f98eb48e18111526"`:                                                        `"ETag: f98eb48e18111526"`,
		`{"access_token":"ya29.c.b0AX-z_9....","expires_in":3326}`:                        `{"access_token":"TOKEN-1....","expires_in":3326}`,
		"eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln":                                       "TOKEN-1",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE dev":                                      "KEY-1 dev",
		"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n.":                 "KEY-1\n.",
		`"-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----\n"`:                `"KEY-1\n"`,
		"key=AIza0123456789012345678901234567890abcd!":                                    "key=KEY-1!",
		"demo-project on demo-project-vm with s3cret":                                     "PROJECT-1 on NAME-1 with VALUE-1",
		"nothing to hide: 2026-01-01, v1, image-20260101":                                 "nothing to hide: 2026-01-01, v1, image-20260101",
	} {
		names := pseudonym.New()
		names.Learn(pseudonym.Project, "demo-project")
		names.Learn(pseudonym.Name, "demo-project-vm")
		names.Learn(pseudonym.Value, "s3cret")
		names.Learn(pseudonym.Value, "v1")
		names.Learn(pseudonym.Value, "true")
		if got := names.Redact(text); got != want {
			t.Errorf("%q is redacted to %q, want %q", text, got, want)
		}
	}
}

// A value has one name in every text, and in every position.
func TestRedactEverywhere(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{
		"EMAIL": "someone@demo.iam.gserviceaccount.com", "IP": "10.9.8.7", "MAC": "42:01:0a:09:08:07",
		"ID": "5737554347302044216", "TOKEN": "ya29.c.abcdefghijkl", "VALUE": "planted secret",
	}
	for kind, secret := range secrets {
		names := pseudonym.New()
		names.Learn(pseudonym.Value, "planted secret")
		for _, around := range []string{"%s", "a/%s", "%s/b", `{"x":"%s"}`, "\n%s\n", "?q=%s&r=1", "<code>%s</code>", "(%s)", "%s, %s", "'%s'", "x %s."} {
			text := strings.ReplaceAll(around, "%s", secret)
			got := names.Redact(text)
			if want := strings.ReplaceAll(around, "%s", kind+"-1"); got != want {
				t.Errorf("%q is redacted to %q, want %q", text, got, want)
			}
		}
	}
}

package compare_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/script"
)

// secrets returns secrets by their kind. A report must have none of them. Each comes with a part that no form of it
// keeps.
func secrets() map[string][2]string {
	return map[string][2]string{
		"a password":       {"pa55+word/with=<odd> & letters", "pa55"},
		"an access token":  {"ya29.c.b0AXv0zTplanted-Token_9", "planted-Token"},
		"another token":    {"opaque5token9", "opaque5token9"},
		"a refresh token":  {"1//0gPlantedRefreshToken-L9", "PlantedRefresh"},
		"a JWT":            {"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.c2lnbmF0dXJlUGxhbnRlZA", "c2lnbmF0dXJlUGxhbnRlZA"},
		"an API key":       {"AIzaSyPlantedApiKey0123456789abcdefghi", "PlantedApiKey"},
		"a private key":    {"-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqMIIEvQIBADANBgkq\\n-----END PRIVATE KEY-----", "MIIEvQIBADAN"},
		"an SSH key":       {"dev:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPlanted dev", "AAAAC3NzaC1lZDI1NTE5"},
		"a URL with user":  {"https://app:swordfish@db.example.com/x", "swordfish"},
		"an e-mail":        {"some.body@corp.example.com", "body@corp"},
		"an account":       {"payroll@acme-payroll.iam.gserviceaccount.com", "acme-payroll"},
		"an IPv4 address":  {"203.0.113.77", "203.0.113.77"},
		"an IPv6 address":  {"2600:1900:4000:1::77", "2600:1900"},
		"a MAC address":    {"42:01:0a:09:08:07", "42:01:0a:09"},
		"an instance's ID": {"5737554347302044999", "57375543"},
		"a project":        {"projects/acme-payroll/zones/us-west1-b", "acme-payroll"},
		"a host":           {"payroll-vm.us-west1-b.c.acme-payroll.internal", "payroll"},
		"a token in JSON":  {`{"a":"\u0079a29.c.b0AXv0zTplanted-Token_9"}`, "planted-Token"},
	}
}

// plantSecret returns plants of a secret in every position of an answer.
func plantSecret(secret string) plant {
	return plant{name: "a secret", spoil: func(request string, a *script.Answer) {
		target, _, _ := strings.Cut(strings.TrimPrefix(request, "GET "), " HTTP")
		a.Headers = append(a.Headers, "X-Novelty: "+secret, "Set-Cookie: session="+secret)
		path, _, _ := strings.Cut(target, "?")
		switch {
		case a.Status >= 300 && a.Status < 400:
			set(a, "Location", "http://example.com/?next="+url.QueryEscape(secret))
		case a.Status >= 400:
			setBody(a, "<p>not found: "+secret+"</p>")
		case strings.HasSuffix(path, "/token"):
			setBody(a, strings.Replace(a.Body, "}", `,"novelty":`+quoted(secret)+"}", 1))
		case strings.HasSuffix(path, "/identity"):
			setBody(a, withClaim(a.Body, secret))
		case strings.HasSuffix(path, "/hostname"), strings.HasSuffix(path, "/image"), strings.Contains(path, "/mac"):
			setBody(a, secret)
		case strings.HasSuffix(path, "/cpu-platform"): // a secret at the edge of what is shown
			setBody(a, strings.Repeat("a ", 65)+secret+strings.Repeat(" b", 99))
		case strings.HasSuffix(target, "/instance/"), strings.HasSuffix(target, "alt=text"):
			setBody(a, a.Body+secret+"\n")
		case strings.Contains(target, "network-interfaces/?recursive=true"):
			setBody(a, strings.Replace(a.Body, "{", `{"novelty":`+quoted(secret)+",", 1))
		}
	}}
}

func quoted(text string) string {
	encoded, _ := json.Marshal(text) //nolint:errchkjson // a text can be encoded
	return string(encoded)
}

// withClaim returns an ID token with a further claim.
func withClaim(token, claim string) string {
	parts := strings.Split(token, ".")
	if len(parts) < 3 {
		return token
	}
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(claims), "{", `{"novelty":`+quoted(claim)+",", 1)))
	return strings.Join(parts, ".")
}

// TestReportHasNoSecrets plants a secret of each kind in every position, and looks for it in every form of the report.
func TestReportHasNoSecrets(t *testing.T) {
	t.Parallel()
	for kind, secret := range secrets() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			e := emulate(t, "instances: [{name: payload-vm1, metadata: {instance: {attributes: {other: 'some own value', phrase: 'battery staple'}}}}]")
			o := options(t, "http://"+spoilt(t, e.Address, []plant{plantSecret(secret[0])}))
			report, err := compare.Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Differences) < 10 {
				t.Errorf("only %d differences are found", len(report.Differences))
			}
			var text strings.Builder
			for _, write := range []func() error{func() error { return report.WriteTable(&text) }, func() error { return report.WriteMarkdown(&text) }, func() error { return report.WriteJSON(&text) }} {
				if err := write(); err != nil {
					t.Fatal(err)
				}
			}
			for _, part := range []string{secret[1], url.QueryEscape(secret[1]), "payload-vm1", "demo-project", "123456789012", "battery staple", "10.128.0."} {
				if at := strings.Index(text.String(), part); at >= 0 {
					t.Errorf("the report has %q: %q", part, text.String()[max(0, at-200):min(text.Len(), at+100)])
				}
			}
		})
	}
}

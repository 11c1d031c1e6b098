package mds_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/wire"
)

// An instance issues tokens for a certificate chain only if its fixture says so. Each token is new.
func TestBoundTokens(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	rig.replace(t, "instances: [{name: demo-vm}, {name: agent, profile: cloud-run, boundTokens: true}]")
	client, err := keys.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	certificate := string(client.File())
	encode := func(value any) string {
		text, err := json.Marshal(map[string]any{"certificate_chain": value})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const path = "instance/service-accounts/default/"
	post := func(instance, path, body string) wire.Response {
		return ask(t, rig, requestTo(t, http.MethodPost, instance+".localhost", path, strings.NewReader(body)))
	}
	for _, test := range []struct {
		what, instance, path, body string
		want                       int
	}{
		{"text", "agent", path + "token", encode(certificate), 0},
		{"list", "agent", path + "token?scopes=a,b&bindCertificateFingerprint=x", encode([]string{certificate, certificate}), 0},
		{"nothing", "agent", path + "token", "", http.StatusBadRequest},
		{"no chain", "agent", path + "token", "{}", http.StatusBadRequest},
		{"number", "agent", path + "token", encode(1), http.StatusBadRequest},
		{"empty list", "agent", path + "token", encode([]string{}), http.StatusBadRequest},
		{"no PEM", "agent", path + "token", encode("x"), http.StatusBadRequest},
		{"no certificate", "agent", path + "token", encode("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), http.StatusBadRequest},
		{"another entry", "agent", path + "email", encode(certificate), http.StatusMethodNotAllowed},
		{"a directory", "agent", path, encode(certificate), http.StatusMethodNotAllowed},
		{"nobody", "agent", "instance/service-accounts/nobody/token", encode(certificate), http.StatusMethodNotAllowed},
		{"another instance", "demo-vm", path + "token", encode(certificate), http.StatusMethodNotAllowed},
	} {
		first, second := post(test.instance, test.path, test.body), post(test.instance, test.path, test.body)
		if first.Status != test.want || second.Status != test.want || (test.want != 0) != (first.Refusal != nil) {
			t.Errorf("%s: status %d, want %d: %+v", test.what, first.Status, test.want, first.Refusal)
		}
		if test.want == 0 && (first.Body == second.Body || !strings.HasPrefix(first.Body, `{"access_token":"ya29.c.`) || !strings.HasSuffix(first.Body, `,"expires_in":3600,"token_type":"Bearer"}`)) {
			t.Errorf("%s: %s, then %s", test.what, first.Body, second.Body)
		}
	}
}

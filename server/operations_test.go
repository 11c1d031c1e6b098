package server_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/fault"
)

// The entry that answers a metadata request decides the operation, for the journal and for faults: a
// path that does not lead to a token is not a request for a token.
func TestOperationIsThatOfTheEntry(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	const compute, accounts, tokens = emulatortest.Default, emulatortest.AttachedPath, emulatortest.AttachedPath + "default/token"
	type seen struct {
		route, instance, account, audience string
		status                             int
	}
	value := func(account string, status int) seen { return seen{"mds.metadata", "demo-vm", account, "", status} }
	token := seen{"mds.token", "demo-vm", compute, "", 200}
	for path, want := range map[string]seen{
		tokens:                        token,
		tokens + "?alt=text":          token,
		accounts + compute + "/token": token,
		accounts + emulatortest.Worker + "/token":                         {"mds.token", "demo-vm", emulatortest.Worker, "", 200},
		"/computeMetadata//v1/instance//service-accounts//default//token": token,
		"//computeMetadata/v1/instance/service-accounts/default/token":    token,
		tokens + "?wait_for_change=true":                                  {"mds.token", "demo-vm", compute, "", 400},

		accounts + "default/%74oken":        value(compute, 404),
		accounts + "%64efault/token":        value("%64efault", 404),
		accounts + "default/Token":          value(compute, 404),
		accounts + "DEFAULT/token":          value("DEFAULT", 404),
		tokens + "/":                        value(compute, 404),
		tokens + "/more":                    value(compute, 404),
		accounts + "nobody/token":           value("nobody", 404),
		accounts + "default/email":          value(compute, 200),
		accounts + "default/":               value(compute, 200),
		accounts + "default":                value(compute, 301),
		accounts:                            value("", 200),
		accounts + "token":                  value("token", 404),
		"/computeMetadata/v1/project/token": value("", 404),
		"/computeMetadata/v1beta1/instance/service-accounts/default/token": value("", 404),
		"/computeMetadata": value("", 301),

		accounts + "default/identity?audience=a%20b":            {"mds.identity", "demo-vm", compute, "a b", 200},
		accounts + emulatortest.Worker + "/identity?audience=a": {"mds.identity", "demo-vm", emulatortest.Worker, "a", 200},
		accounts + "default/identity":                           {"mds.identity", "demo-vm", compute, "", 400},
		accounts + "default/identit%79?audience=a":              value(compute, 404),
		accounts + "nobody/identity?audience=a":                 value("nobody", 404),

		"/computeMetadata/v1/instance/guest-attributes/":         {"mds.guest-attributes", "demo-vm", "", "", 403},
		"/computeMetadata/v1/instance//guest-attributes/ns/none": {"mds.guest-attributes", "demo-vm", "", "", 403},
		"/computeMetadata/v1/instance/guest%2dattributes/":       value("", 404),
		"/computeMetadata/v1/guest-attributes/":                  value("", 404),

		"/computeMetadata/v1/oslogin/users?username=dev":     {"mds.oslogin", "demo-vm", "", "", 200},
		"/computeMetadata/v1//oslogin//authorize":            {"mds.oslogin", "demo-vm", "", "", 400},
		"/computeMetadata/v1/oslogin/users/":                 value("", 404),
		"/computeMetadata/v1/oslogin/%75sers?username=dev":   value("", 404),
		"/computeMetadata/v1/oslogin/authenticate/sessions/": value("", 200),
	} {
		e.Faults.Clear()
		e.Get(t, path)
		exchange := e.Last(t)
		got := seen{exchange.Route, exchange.Instance, exchange.Account, exchange.Audience, exchange.Status}
		if got != want {
			t.Errorf("%s: the journal has %+v, want %+v", path, got, want)
		}
		for _, route := range []string{"mds.token", "mds.identity", "mds.guest-attributes", "mds.oslogin", "mds.metadata"} {
			added := e.Fail(t, `{"route": "`+route+`", "status": 503}`)
			struck := e.Get(t, path).Status == http.StatusServiceUnavailable
			if struck != (route == want.route) || e.Last(t).Route != want.route {
				t.Errorf("%s: a fault of %q strikes: %v", path, route, struck)
			}
			e.Faults.Remove(added.ID)
		}
	}
}

// The journal has the instance of a request. If a request addresses an unknown instance, it has no
// instance, and the route "unknown".
func TestOperationOfInstances(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	for host, want := range map[string]string{"other-vm.localhost": "other-vm", "metadata.google.internal": "demo-vm", "localhost": "demo-vm"} {
		e.Exchange(t, "GET "+emulatortest.AttachedPath+"default/token\nHost: "+host+"\nMetadata-Flavor: Google\n\n")
		if seen := e.Last(t); seen.Route != "mds.token" || seen.Instance != want {
			t.Errorf("request to %s: the journal has %+v", host, seen)
		}
	}
	e.Exchange(t, "GET "+emulatortest.AttachedPath+"default/token\nHost: no-vm.localhost\nMetadata-Flavor: Google\n\n")
	if seen := e.Last(t); seen.Route != "unknown" || seen.Instance != "" || seen.Status != http.StatusForbidden {
		t.Errorf("request to an unknown instance: the journal has %+v", seen)
	}
}

// The emulator finds the operation of a delayed request before the delay, and answers from the world
// after the delay.
func TestDelayedRequestSeesTheWorldAfterTheDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := emulatortest.Unserved(t, "")
		if _, err := s.Faults.Add(fault.Rule{Route: "mds.metadata", Delay: fixtures.Duration(2 * time.Second)}); err != nil {
			t.Fatal(err)
		}
		const path = "instance/attributes/late"
		time.AfterFunc(time.Second, func() {
			now := s.World().State
			edited, err := now.WithMetadata(now.DefaultInstance(), path, "here")
			if err != nil {
				t.Error(err)
			}
			s.Replace(edited)
		})
		if got := emulatortest.Ask(t.Context(), s, "/computeMetadata/v1/"+path); got.Code != http.StatusOK || got.Body.String() != "here" {
			t.Errorf("status %d: %s", got.Code, got.Body)
		}
	})
}

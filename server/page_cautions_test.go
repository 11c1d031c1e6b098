package server_test

import (
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/records"
)

// sent returns the texts of the page that answers a form, or an empty text if the browser is led to another page.
func sent(t *testing.T, e *emulatortest.Emulator, path, form string) string {
	t.Helper()
	got := e.Exchange(t, "POST "+path+"\nContent-Type: application/x-www-form-urlencoded\n\n"+form)
	if got.Status == http.StatusSeeOther {
		return ""
	}
	parsed := emulatortest.Must[*html.Node](t)(html.Parse(strings.NewReader(got.Body)))
	return texts(parsed, "main")
}

// The answer to a form shows the warnings of the operation, beside its result.
func TestPagesShowWarnings(t *testing.T) {
	t.Parallel()
	given := emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) { config.GivenKeys = "/given" })
	const warning = `only this process knows the rotated keys, until it ends: the directory "/given"`
	if got := sent(t, given, "/emulator/keys", "do=rotate"); !strings.Contains(got, "Other keys sign from now on.") || !strings.Contains(got, warning) {
		t.Errorf("the answer is %q", got)
	}
	all := newKnown(t, 2)
	if got := sent(t, all[0].Emulator, "/emulator/faults", "do=reset"); got != "" {
		t.Errorf("without a warning, the answer is %q", got)
	}
	all[0].commit(t, records.Change{Put: []records.Entry{{Name: "members/x", Value: []byte("http://127.0.0.1:1")}}})
	const silent = "The replica x has not said that it did this too: it cannot be reached"
	if got := sent(t, all[0].Emulator, "/emulator/faults", "do=reset"); !strings.Contains(got, "as it was at its start") || !strings.Contains(got, silent) {
		t.Errorf("without a replica, the answer is %q", got)
	}
}

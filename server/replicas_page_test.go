package server_test

import (
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"gcp-metadata-emulator/server/records"
)

// texts returns the texts of the elements with a name.
func texts(of *html.Node, name string) string {
	var all []string
	for n := range of.Descendants() {
		if n.Data != name {
			continue
		}
		var text strings.Builder
		for inner := range n.Descendants() {
			if inner.Type == html.TextNode {
				text.WriteString(inner.Data)
			}
		}
		all = append(all, text.String())
	}
	return strings.Join(all, "\n")
}

// The pages show the data of a replica, or of all replicas, and name the missing replicas.
func TestPagesOfReplicas(t *testing.T) {
	t.Parallel()
	all := newKnown(t, 2)
	a, b := all[0], all[1]
	recordAtAll(t, all)
	a.at(t, http.MethodPost, "faults", `{"route": "mds.metadata", "status": 503}`)
	b.ask(t.Context(), http.MethodGet, "http://full-vm/computeMetadata/v1/instance/id", "")
	const silent = "The page leaves out replica x at http://127.0.0.1:1: it cannot be reached"
	nameA, nameB := a.shared.Name(), b.shared.Name()
	for _, test := range []struct {
		path      string
		has, lack []string
	}{
		{"/emulator/", []string{nameA + " shows this page", nameB, "All requests (2)", b.URL}, []string{silent}},
		{"/emulator/?replica=all", []string{"All requests (6)", "struck", nameB}, []string{silent}},
		{"/emulator/requests", []string{"2 requests."}, []string{"instance/id", "Replica" + nameB}},
		{"/emulator/requests?replica=all", []string{"6 requests.", "instance/id", nameB, "Clear this replica's journal"}, nil},
		{"/emulator/requests?replica=" + nameB, []string{"4 requests.", "instance/id"}, nil},
		{"/emulator/requests?replica=all&open=" + nameB + ".4", []string{"Replica" + nameB, "Fault1"}, nil},
		{"/emulator/faults", nil, []string{"1 of 1"}},
		{"/emulator/faults?replica=all", []string{nameB + ": 1 of 1", nameA + ": 0 of 0"}, nil},
	} {
		shown := texts(pageAt(t, a.Emulator, test.path), "main")
		for _, text := range test.has {
			if !strings.Contains(shown, text) {
				t.Errorf("%s lacks %q: %s", test.path, text, shown)
			}
		}
		for _, text := range test.lack {
			if strings.Contains(shown, text) {
				t.Errorf("%s has %q: %s", test.path, text, shown)
			}
		}
	}
	a.commit(t, records.Change{Put: []records.Entry{{Name: "members/x", Value: []byte("http://127.0.0.1:1")}}})
	for path, want := range map[string]bool{
		"/emulator/": false, "/emulator/?replica=all": true, "/emulator/requests": false, "/emulator/requests?replica=all": true, "/emulator/faults?replica=all": true,
	} {
		if shown := texts(pageAt(t, a.Emulator, path), "main"); strings.Contains(shown, silent) != want {
			t.Errorf("%s: %s", path, shown)
		}
	}
	ids := map[string]bool{}
	for n := range pageAt(t, a.Emulator, "/emulator/requests?replica=all").Descendants() {
		if id, ok := attribute(n, "id"); ok && ids[id] {
			t.Errorf("the ID %q exists twice", id)
		} else if ok {
			ids[id] = true
		}
	}
}

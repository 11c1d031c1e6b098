package server_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// dashboard is the part of Grafana's classic dashboard model that the test needs
// (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/).
type dashboard struct {
	UID           string  `json:"uid"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []panel `json:"panels"`
	Templating    struct {
		List []struct {
			Name  string `json:"name"`
			Query string `json:"query"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	GridPos struct {
		H int `json:"h"`
		W int `json:"w"`
		X int `json:"x"`
		Y int `json:"y"`
	} `json:"gridPos"`
	Targets []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "scripts", "grafana-dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// family returns the name of a time series without its labels and the parts of a histogram.
func family(name string) string {
	name, _, _ = strings.Cut(name, "{")
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		name = strings.TrimSuffix(name, part)
	}
	return strings.TrimPrefix(name, "gcp_metadata_emulator_")
}

// Grafana's dashboard names only metrics that the emulator has, and shows every metric of its own.
func TestDashboardShowsTheMetrics(t *testing.T) {
	t.Parallel()
	e := emulatortest.NewStrict(t)
	e.Fail(t, `{"route": "mds.ping", "status": 503}`)
	e.Exchange(t, "GET /\n\n")
	e.Exchange(t, "POST /v1/projects/-/serviceAccounts/"+emulatortest.Worker+":signBlob\n\n{}")
	has, own := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(e.Exchange(t, "GET /emulator/metrics\n\n").Body) {
		name, _, _ := strings.Cut(line, " ")
		has[family(name)] = true
		if strings.HasPrefix(name, "gcp_metadata_emulator_") {
			own[family(name)] = true
		}
	}
	d := readDashboard(t)
	names := regexp.MustCompile(`\b(gcp_metadata_emulator|go|process)_\w+`)
	shown := map[string]bool{}
	check := func(where, query string) {
		found := names.FindAllString(query, -1)
		if len(found) == 0 {
			t.Errorf("%s has no metric: %s", where, query)
		}
		for _, name := range found {
			shown[family(name)] = true
			if !has[family(name)] {
				t.Errorf("%s shows %s, which the emulator does not have", where, name)
			}
		}
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			check("panel "+p.Title, target.Expr)
		}
		if (len(p.Targets) == 0) != (p.Type == "row") {
			t.Errorf("panel %q of type %s has %d queries", p.Title, p.Type, len(p.Targets))
		}
	}
	check("the variable instance", d.Templating.List[1].Query)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if !shown[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// The panels do not overlap, and fit into the 24 columns of a dashboard.
func TestDashboardIsTidy(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	if d.UID == "" || d.SchemaVersion < 41 || len(d.Panels) == 0 {
		t.Errorf("uid %q, schema version %d, %d panels", d.UID, d.SchemaVersion, len(d.Panels))
	}
	type cell struct{ x, y int }
	taken, ids := map[cell]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || p.Title == "" {
			t.Errorf("panel %d %q is at %+v", p.ID, p.Title, p.GridPos)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := cell{p.GridPos.X + x, p.GridPos.Y + y}
				if other, overlaps := taken[at]; overlaps {
					t.Fatalf("panels %q and %q overlap", other, p.Title)
				}
				taken[at] = p.Title
			}
		}
	}
}

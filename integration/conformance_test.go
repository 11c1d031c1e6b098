package integration_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Google's own libraries survive the known behaviours of their servers. Only the library for Go does not look at
// the header field that identifies the metadata server.
func TestConformance(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	t.Run("Go", func(t *testing.T) {
		t.Parallel()
		r.checkConformance(t, `other-flavor +note +0 `, r.stage.GoCloud, "matrix", "-", audience, workerAccount, "access")
	})
	t.Run("Python", func(t *testing.T) {
		t.Parallel()
		python, folder := googleAuth(t)
		r.checkConformance(t, `other-flavor +ok +1 `,
			"env", "PYTHONPATH="+folder, "PYTHONDONTWRITEBYTECODE=1", python, "clients/python/matrix.py", "-", audience, workerAccount, "access")
	})
	t.Run("Python, which verifies", func(t *testing.T) {
		t.Parallel()
		python, folder := googleAuth(t)
		printed, complained, err := r.try(t, "conformance", "--state-dir", r.state, "--timeout", patience.String(), "--reach", "proxy",
			"--only", "unavailable-twice", "--only", "forbidden", "--only", "rotated-keys", "--only", "stale-keys", "--only", "keys-unavailable", "--",
			"env", "PYTHONPATH="+folder, "PYTHONDONTWRITEBYTECODE=1", python, "clients/python/matrix.py", "-", audience, workerAccount, "verify")
		if err != nil {
			t.Errorf("%v\n%s", err, complained)
		}
		checkRows(t, printed, `baseline +ok +0 +4 `, `unavailable-twice +ok +0 +6 `, `forbidden +ok +1 +3 `, `rotated-keys +ok +0 +4 `,
			`stale-keys +(ok +0 +5|note +1 +4) `, `keys-unavailable +(ok +0 +5|note +1 +4) `)
	})
	t.Run("Node", func(t *testing.T) {
		t.Parallel()
		needNode(t, r.stage)
		r.checkConformance(t, `other-flavor +ok +1 `, r.stage.Node, nodeFolder+"/matrix.mjs", "-", audience, workerAccount, "access")
	})
}

// checkConformance runs a client under all behaviours. It expects a row of the client's own, besides the rows of
// all clients.
func (r *rig) checkConformance(t *testing.T, own string, client ...string) {
	t.Helper()
	report := filepath.Join(t.TempDir(), "report.xml")
	printed, complained, err := r.try(t, append([]string{"conformance", "--state-dir", r.state, "--timeout", patience.String(), "--junit", report, "--"}, client...)...)
	if err != nil {
		t.Errorf("%v\n%s%s", err, printed, complained)
	}
	checkRows(t, printed,
		`baseline +(ok|note) +0 `, `unavailable-twice +ok +0 .* 2 requests more than usual$`, `unavailable +ok +1 `, `no-account +ok +1 `, `forbidden +ok +1 `,
		`short-tokens +ok +0 `, `rotated-keys +ok +0 `, `no-universe +ok +0 `, `huge-attribute +ok +0 `, own)
	behaviours, _, err := r.try(t, "conformance", "--list")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`tests="%d" failures="0"`, bytes.Count(behaviours, []byte("\n")))
	if text, err := os.ReadFile(report); err != nil || !bytes.Contains(text, []byte(want)) {
		t.Errorf("%v: no %s in the report\n%s", err, want, text)
	}
}

// checkRows checks the beginnings of rows of the table.
func checkRows(t *testing.T, table []byte, rows ...string) {
	t.Helper()
	for _, row := range rows {
		if !regexp.MustCompile(`(?m)^` + row).Match(table) {
			t.Errorf("no row %q in\n%s", row, table)
		}
	}
}

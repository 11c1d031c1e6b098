package integration_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Google's own libraries survive what their servers are known for.
func TestConformance(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	t.Run("Go", func(t *testing.T) {
		t.Parallel()
		r.checkConformance(t, r.stage.GoCloud, "matrix", "-", audience, workerAccount, "access")
	})
	t.Run("Node", func(t *testing.T) {
		t.Parallel()
		needNode(t, r.stage)
		r.checkConformance(t, r.stage.Node, nodeFolder+"/matrix.mjs", "-", audience, workerAccount, "access")
	})
}

// checkConformance runs a client under all behaviours.
func (r *rig) checkConformance(t *testing.T, client ...string) {
	t.Helper()
	report := filepath.Join(t.TempDir(), "report.xml")
	printed, complained, err := r.try(t, append([]string{"conformance", "--state-dir", r.state, "--junit", report, "--"}, client...)...)
	if err != nil {
		t.Errorf("%v\n%s%s", err, printed, complained)
	}
	for _, row := range []string{`baseline +(ok|note) +0 `, `unavailable-twice +ok +0 +[34] `, `no-account +ok +1 `, `rotated-keys +ok +0 `, `huge-attribute +ok +0 `} {
		if !regexp.MustCompile(`(?m)^` + row).Match(printed) {
			t.Errorf("no row %q in\n%s", row, printed)
		}
	}
	if text, err := os.ReadFile(report); err != nil || !regexp.MustCompile(`tests="16" failures="0"`).Match(text) {
		t.Errorf("%v: the report is\n%s", err, text)
	}
}

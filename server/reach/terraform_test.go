package reach_test

import (
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/reach"
)

func TestTerraform(t *testing.T) {
	t.Parallel()
	target := reach.Target{URL: &url.URL{Scheme: "http", Host: "127.0.0.1:8254"}, ProjectID: "p", UniverseDomain: "googleapis.com"}
	const want = `provider "google" {
  project                          = "p"
  region                           = "us-central1"
  cloud_run_custom_endpoint        = "http://127.0.0.1:8254/"
  cloud_run_v2_custom_endpoint     = "http://127.0.0.1:8254/v2/"
  compute_custom_endpoint          = "http://127.0.0.1:8254/compute/v1/"
  iam_beta_custom_endpoint         = "http://127.0.0.1:8254/v1/"
  iam_credentials_custom_endpoint  = "http://127.0.0.1:8254/v1/"
  iam_custom_endpoint              = "http://127.0.0.1:8254/v1/"
  resource_manager_custom_endpoint = "http://127.0.0.1:8254/v1/"
}
`
	if diff := cmp.Diff(want, target.Terraform("us-central1")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	target.UniverseDomain = "example.goog"
	if got := target.Terraform(""); strings.Contains(got, "region") || !strings.Contains(got, ` = "example.goog"`) {
		t.Errorf("in another universe:\n%s", got)
	}
}

// No value ends its string, or begins a template. Terraform itself reads the block, if it is
// installed.
func TestTerraformQuotes(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		`"}`: `"\"}"`, `\`: `"\\"`, "a\nb\r\tc": `"a\nb\r\tc"`, "${file(1)}": `"$${file(1)}"`, "%{if true}": `"%%{if true}"`, "$%": `"$%"`, "#//": `"#//"`,
	}
	for value, want := range values {
		block := (reach.Target{URL: &url.URL{Scheme: "http", Host: "h:1"}, ProjectID: value}).Terraform("")
		if !strings.Contains(block, " = "+want+"\n") {
			t.Errorf("%q becomes\n%s", value, block)
		}
		if path, err := exec.LookPath("terraform"); err == nil {
			command := exec.CommandContext(t.Context(), path, "fmt", "-")
			command.Stdin = strings.NewReader(block)
			if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%q: %v\n%s", value, err, out)
			}
		}
	}
}

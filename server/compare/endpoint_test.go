package compare_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/script"
)

// Google's hosts take tokens of the token endpoint in their universe; any other server gives tokens itself.
func TestTokenHosts(t *testing.T) {
	t.Parallel()
	const token, iamcredentials, certs = 0, 1, 2
	for _, test := range []struct {
		surface      int
		at, universe string
		want         []string
	}{
		{iamcredentials, "https://iamcredentials.googleapis.com", "", []string{"https://oauth2.googleapis.com"}},
		{iamcredentials, "https://iamcredentials.googleapis.com", "googleapis.com", []string{"https://oauth2.googleapis.com"}},
		{iamcredentials, "https://iamcredentials.example.goog", "example.goog", []string{"https://oauth2.example.goog"}},
		{iamcredentials, "https://iamcredentials.example.goog", "", nil},
		{iamcredentials, "http://127.0.0.1:8254", "example.goog", nil},
		{token, "https://oauth2.googleapis.com", "", nil},
		{token, "https://oauth2.example.goog", "example.goog", nil},
		{certs, "https://www.googleapis.com", "", nil},
	} {
		at := emulatortest.Must[*url.URL](t)(url.Parse(test.at))
		if diff := cmp.Diff(test.want, compare.Surfaces()[test.surface].TokenHosts(at, test.universe)); diff != "" {
			t.Errorf("%s in %q (-want +got):\n%s", test.at, test.universe, diff)
		}
	}
	if got, want := compare.Surfaces()[certs].URL("example.goog"), "https://www.example.goog"; got != want {
		t.Errorf("the host of a universe is %q, want %q", got, want)
	}
}

// A host of another universe does not differ from an emulator of that universe.
func TestSelfOfUniverse(t *testing.T) {
	t.Parallel()
	const universe = "example.goog"
	e := emulate(t, strings.Replace(publicFixture("[]"), "{", "{universeDomain: "+universe+", ", 1))
	account := accountOf(t, e)
	account.Universe = universe
	for _, surface := range compare.Surfaces() {
		report, err := compare.RunSurface(t.Context(), surfaceOptions(t, surface, e.URL), surface, account)
		if err != nil || len(report.Differences) > 0 {
			t.Errorf("%s: %v, %+v", surface.Name, err, report.Differences)
		}
	}
}

// An error about a token endpoint that repeats the assertion does not have it.
func TestErrorsHaveNoAssertions(t *testing.T) {
	t.Parallel()
	e := emulate(t, publicFixture("[]"))
	var assertion string
	echo := plant{spoil: func(request string, a *script.Answer) {
		if _, sent, ok := strings.Cut(request, "&assertion="); ok {
			assertion = sent
			a.Status = 400
			setBody(a, `{"error": "no_`+sent+`", "error_description": "unusable: `+sent+`"}`)
		}
	}}
	options := surfaceOptions(t, compare.Surfaces()[0], "http://"+spoilt(t, e.Address, []plant{echo}))
	options.Emulate = func(context.Context, []byte) (*url.URL, error) { return nil, errors.New("unexpected") }
	_, err := compare.RunSurface(t.Context(), options, compare.Surfaces()[0], accountOf(t, e))
	if err == nil || assertion == "" {
		t.Fatalf("the error is %v, the assertion %q", err, assertion)
	}
	for part := range strings.SplitSeq(assertion, ".") {
		if strings.Contains(err.Error(), part) {
			t.Errorf("the error has %q: %v", part, err)
		}
	}
	if !strings.Contains(err.Error(), `"unusable: TOKEN-`) {
		t.Errorf("the error is %v", err)
	}
}

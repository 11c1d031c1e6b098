package metrics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/metrics"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	requests := metrics.NewRequests(nil)
	tokens := requests.Tokens([]string{"access", "id"}, []string{"access"})
	tokens.Minted("access")
	tokens.Minted("no such kind")
	tokens.Signed(time.Millisecond)
	tokens.Cache("access").Hit()
	tokens.Cache("no such cache").Hit()
	tokens.Cache("no such cache").Miss()
	requests.KeyWaits()(2 * time.Second)
	want := `# HELP gcp_metadata_emulator_cache_lookups_total Look-ups in the caches of tokens, by cache and result.
# TYPE gcp_metadata_emulator_cache_lookups_total counter
gcp_metadata_emulator_cache_lookups_total{cache="access",result="hit"} 1
gcp_metadata_emulator_cache_lookups_total{cache="access",result="miss"} 0
# HELP gcp_metadata_emulator_key_wait_seconds Time for which callers waited until a signing key was generated.
# TYPE gcp_metadata_emulator_key_wait_seconds histogram
gcp_metadata_emulator_key_wait_seconds_sum 2
gcp_metadata_emulator_key_wait_seconds_count 1
# HELP gcp_metadata_emulator_signature_duration_seconds Time to make a signature.
# TYPE gcp_metadata_emulator_signature_duration_seconds histogram
gcp_metadata_emulator_signature_duration_seconds_sum 0.001
gcp_metadata_emulator_signature_duration_seconds_count 1
# HELP gcp_metadata_emulator_tokens_minted_total Tokens issued, without those taken from a cache, by kind.
# TYPE gcp_metadata_emulator_tokens_minted_total counter
gcp_metadata_emulator_tokens_minted_total{kind="access"} 1
gcp_metadata_emulator_tokens_minted_total{kind="id"} 0
`
	if diff := cmp.Diff(want, own(t, requests)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

// Packages whose tests measure nothing use the zero values.
func TestZeroTokens(t *testing.T) {
	t.Parallel()
	var tokens metrics.Tokens
	tokens.Minted("access")
	tokens.Signed(time.Millisecond)
	tokens.Cache("access").Hit()
	tokens.Cache("access").Miss()
}

func BenchmarkMinted(b *testing.B) {
	tokens := metrics.NewRequests(nil).Tokens([]string{"access", "id"}, []string{"access"})
	cache := tokens.Cache("access")
	b.ReportAllocs()
	for b.Loop() {
		tokens.Minted("access")
		cache.Hit()
	}
}

// The labels of time series are names that the emulator chooses.
func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	requests := metrics.NewRequests([]string{"mds.ping"})
	tokens := requests.Tokens([]string{"access"}, []string{"access"})
	for range 1000 {
		name := strings.Repeat("x", 10) + time.Now().String()
		requests.Observe(name, 200, 0)
		requests.ObserveFault(name)
		tokens.Minted(name)
		tokens.Cache(name).Hit()
	}
	if text := own(t, requests); strings.Contains(text, "xxxxxxxxxx") {
		t.Errorf("the text has foreign labels:\n%s", text)
	}
}

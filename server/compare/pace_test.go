package compare_test

import (
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/emulatortest"
)

// Neither server is asked more often than agreed: at most 5 times a second.
func TestPace(t *testing.T) {
	t.Parallel()
	const limit = 30
	for name, slow := range map[string]func(*compare.Options){
		"the real server": func(o *compare.Options) { o.Interval = compare.Interval },
		"the other one":   func(o *compare.Options) { o.WithInterval = compare.Interval },
		"neither":         func(*compare.Options) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const world = "instances: [{name: some-vm}]"
			o := options(t, emulate(t, world).URL)
			o.With = emulatortest.Must[*url.URL](t)(url.Parse(emulate(t, world).URL)) // both are outside of the bubble
			o.Limit = limit
			slow(&o)
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				report, err := compare.Run(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				want := (o.Interval + o.WithInterval) * (limit - 1)
				if took := time.Since(began).Round(time.Millisecond); took != want || report.Requests != limit {
					t.Errorf("%d requests took %s, want %d in %s", report.Requests, took, limit, want)
				}
			})
		})
	}
}

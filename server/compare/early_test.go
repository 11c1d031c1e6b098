package compare_test

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/script"
)

// end is an early end of a comparison, with the words of its reason.
type end struct {
	does func(a *script.Answer, cancel func())
	why  string
}

func ends() map[string]end {
	return map[string]end{
		"an interrupt":  {func(_ *script.Answer, cancel func()) { cancel() }, "it was interrupted"},
		"a lost server": {func(a *script.Answer, _ func()) { a.Status = 0 }, "5 requests in a row had no answer"},
		"a gateway":     {func(a *script.Answer, _ func()) { a.Status = 502 }, "the last of them: status 502"},
	}
}

// If a comparison ends early, it reports its differences so far, with the reason of its end and the request at
// which it ended. Either server may be lost.
func TestEndedEarly(t *testing.T) {
	t.Parallel()
	const after, never = 40, 1 << 30
	for name, end := range ends() {
		for of, last := range map[string][2]int64{"real": {after, never}, "other": {never, after}} {
			t.Run(name+" of the "+of+" server", func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancel(t.Context())
				world := "instances: [{name: some-vm, metadata: {instance: {attributes: {alpha: planted}}}}]"
				o := options(t, "http://"+spoilt(t, emulate(t, world).Address, []plant{{spoil: func(request string, a *script.Answer) {
					if strings.HasPrefix(request, "GET /computeMetadata/v1/instance/attributes/alpha ") {
						setBody(a, a.Body+"\n")
					}
				}}, ending(last[0], end.does, cancel)}))
				o.With = emulatortest.Must[*url.URL](t)(url.Parse("http://" + spoilt(t, emulate(t, world).Address, []plant{ending(last[1], end.does, cancel)})))
				report, err := compare.Run(ctx, o)
				if err != nil {
					t.Fatal(err)
				}
				why := end.why
				if of == "other" && name == "a lost server" {
					why = "the server sent no complete header" // at its first silence
				}
				checkEnded(t, report, why)
				if !slices.ContainsFunc(report.Differences, (shown{compare.Newline, "attributes/alpha"}).fits) {
					t.Errorf("what was found before the end is missing: %+v", report.Differences)
				}
				if report.Requests < after || report.Requests > after+2*compare.Patience {
					t.Errorf("%d requests were sent", report.Requests)
				}
			})
		}
	}
}

// ending is a plant that ends a comparison after some requests.
func ending(after int64, does func(a *script.Answer, cancel func()), cancel func()) plant {
	var requests atomic.Int64
	return plant{spoil: func(_ string, a *script.Answer) {
		if requests.Add(1) > after {
			does(a, cancel)
		}
	}}
}

// checkEnded checks that every form of a report has the reason of the end and the request at which it ended.
func checkEnded(t *testing.T, report compare.Report, why string) {
	t.Helper()
	if report.Ended == nil {
		t.Fatalf("the comparison did not end early: %s", report.Summary())
	}
	if !strings.HasPrefix(report.Ended.At, "GET /computeMetadata/v1/") || !strings.Contains(report.Ended.Why, why) {
		t.Errorf("it ended at %q because of %q, want %q", report.Ended.At, report.Ended.Why, why)
	}
	var markdown, encoded strings.Builder
	if err := report.WriteMarkdown(&markdown); err != nil {
		t.Fatal(err)
	}
	if err := report.WriteJSON(&encoded); err != nil {
		t.Fatal(err)
	}
	var again compare.Report
	if err := json.Unmarshal([]byte(encoded.String()), &again); err != nil || again.Ended == nil || *again.Ended != *report.Ended {
		t.Errorf("the report in JSON is %v, %+v", err, again.Ended)
	}
	if want := "it ended early, at \"" + report.Ended.At; !strings.Contains(markdown.String(), want) {
		t.Errorf("the report lacks %q", want)
	}
}

// When the limit is reached, the report says from which request on the limit leaves no room.
func TestEndedByTheLimit(t *testing.T) {
	t.Parallel()
	o := options(t, emulate(t, "instances: [{name: some-vm}]").URL)
	o.Limit = 20
	report, err := compare.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	checkEnded(t, report, "at most 20 requests are sent to a server")
	if report.Requests != o.Limit || report.LeftOut == 0 {
		t.Errorf("%d requests are sent, and %d left out", report.Requests, report.LeftOut)
	}
}

// A public host that is lost in the middle ends a comparison in the same way.
func TestSurfaceEndedEarly(t *testing.T) {
	t.Parallel()
	surface := compare.Surfaces()[2]
	e := emulate(t, publicFixture("[]"))
	lost := ending(10, ends()["a lost server"].does, nil)
	o := surfaceOptions(t, surface, "http://"+spoilt(t, e.Address, []plant{lost, {spoil: without("Cache-Control")}}))
	report, err := compare.RunSurface(t.Context(), o, surface, accountOf(t, e))
	if err != nil {
		t.Fatal(err)
	}
	if report.Ended == nil || !strings.Contains(report.Summary(), "it ended early, at \"GET /service_accounts/") || len(report.Differences) == 0 {
		t.Errorf("%s: %+v", report.Summary(), report.Differences)
	}
}

package compare_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/script"
)

// A report has no value that a user of either server chose, also if the value was not in the first document.
func TestReportHasNoChosenValues(t *testing.T) {
	t.Parallel()
	world := func(name, attribute, partner string) string {
		return fmt.Sprintf("instances: [{name: %s, metadata: {instance: {description: 'about %s', attributes: {phrase: %s}, partnerAttributes: {acme: {motto: %s}}}}}]",
			name, attribute, attribute, partner)
	}
	e, other := emulate(t, world("payload-vm", "battery staple", "open sesame")), emulate(t, world("other-vm", "own phrase", "xy"))
	var requests atomic.Int64
	changing := plant{spoil: func(_ string, a *script.Answer) {
		if requests.Add(1) > 1 {
			setBody(a, strings.ReplaceAll(a.Body, "battery staple", "correct horse"))
		}
	}}
	o := options(t, "http://"+spoilt(t, e.Address, []plant{changing}))
	o.With = emulatortest.Must[*url.URL](t)(url.Parse(other.URL))
	report, err := compare.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := report.WriteMarkdown(&text); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(report.Differences, func(d compare.Difference) bool { return strings.Contains(d.Request, "attributes/phrase") }) {
		t.Error("the attributes are the same")
	}
	for _, value := range []string{"payload", "other-vm", "battery", "staple", "correct", "horse", "own phrase", "open sesame", `"xy"`, " xy "} {
		if at := strings.Index(text.String(), value); at >= 0 {
			t.Errorf("the report has %q: %q", value, text.String()[max(0, at-200):min(text.Len(), at+100)])
		}
	}
}

// Entries that no fixture can have are differences, and everything else is compared.
func TestOddEntries(t *testing.T) {
	t.Parallel()
	e := emulate(t, "instances: [{name: some-vm, metadata: {instance: {attributes: {some-key: some value}}}}]")
	odd := plant{spoil: func(request string, a *script.Answer) {
		switch {
		case strings.Contains(request, "v1/?recursive=true "):
			setBody(a, strings.Replace(strings.Replace(a.Body, `"attributes":{`, `"attributes":{"weird name":"x",`, 1), `"instance":{`, `"instance":{"novelty":null,`, 1))
		case strings.HasPrefix(request, "GET /computeMetadata/v1/instance/attributes/ "):
			setBody(a, a.Body+"weird name\n")
		case strings.HasPrefix(request, "GET /computeMetadata/v1/instance/machine-type "):
			setBody(a, a.Body+"\n")
		}
	}}
	report, err := compare.Run(t.Context(), options(t, "http://"+spoilt(t, e.Address, []plant{odd})))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []shown{
		{compare.Unplayable, "| instance/attributes/weird name | left out"},
		{compare.Unplayable, "| instance/novelty | left out"},
		{compare.Newline, "GET /computeMetadata/v1/instance/machine-type"},
	} {
		if !slices.ContainsFunc(report.Differences, want.fits) {
			t.Errorf("%q is not found in %+v", want.by, report.Differences)
		}
	}
}

// A server with more entries than the limit has room for is asked for its entries first.
func TestEntriesBeforeVariants(t *testing.T) {
	t.Parallel()
	const attributes = 300
	var entries []string
	for i := range attributes {
		entries = append(entries, fmt.Sprintf("name-%03d: value %d", i, i))
	}
	e := emulate(t, "instances: [{name: some-vm, metadata: {instance: {attributes: {"+strings.Join(entries, ", ")+"}}}}]")
	late := plant{spoil: func(request string, a *script.Answer) {
		if strings.HasPrefix(request, "GET /computeMetadata/v1/instance/zone ") { // the last entry of the listing
			setBody(a, a.Body+"\n")
		}
	}}
	report, err := compare.Run(t.Context(), options(t, "http://"+spoilt(t, e.Address, []plant{late})))
	if err != nil {
		t.Fatal(err)
	}
	if report.Requests != compare.MaxRequests || report.LeftOut == 0 {
		t.Errorf("%d requests, and %d left out", report.Requests, report.LeftOut)
	}
	if want := (shown{compare.Newline, "instance/zone"}); len(report.Differences) != 1 || !want.fits(report.Differences[0]) {
		t.Errorf("the differences are %+v", report.Differences)
	}
}

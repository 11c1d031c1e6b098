package fault_test

import (
	"encoding/json"
	"testing"

	"gcp-metadata-emulator/server/fault"
)

// A rule sets only header fields that net/http sends, and that leave the end of the answer alone.
func TestRefusalsOfHeaders(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		`{"route":"*","withHeader":{}}`:                            `a fault needs an effect: "status", "body", "delay", "hangUp", "malformed", "withoutHeader", "withHeader", "outage" or "defect"`,
		`{"route":"*","withHeader":{"a b":"c"}}`:                   `"withHeader": "a b" is not the name of a header field`,
		`{"route":"*","withHeader":{"":"c"}}`:                      `"withHeader": "" is not the name of a header field`,
		`{"route":"*","withHeader":{"X":"a\r\nb"}}`:                `"withHeader": "a\r\nb" is not the value of a header field`,
		`{"route":"*","withHeader":{"X":""}}`:                      `"withHeader": "X" needs a value: use "withoutHeader" to remove the field`,
		`{"route":"*","withHeader":{"connection":"x"}}`:            `"withHeader": "connection" marks the end of the answer and cannot be changed: use "hangUp": "body" instead`,
		`{"route":"*","withoutHeader":"X","withHeader":{"x":"y"}}`: `"withHeader": "x" is also in "withoutHeader": leave it out of one of them`,
		`{"route":"*","withHeader":{"X":"y"},"withoutHeader":"Y"}`: "",
	} {
		var read fault.Rule
		if err := json.Unmarshal([]byte(rule), &read); err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, err := newSet().Add(read); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", rule, got, want)
		}
	}
}

package fault_test

import "testing"

// A rule sets only header fields that net/http sends, and that leave the end of the answer alone.
func TestRefusalsOfHeaders(t *testing.T) {
	t.Parallel()
	checkRefusals(t, map[string]string{
		`{"route":"*","withHeader":{}}`:                            `a fault needs an effect: "status", "body", "delay", "hangUp", "malformed", "withoutHeader", "withHeader", "outage" or "defect"`,
		`{"route":"*","withHeader":{"a b":"c"}}`:                   `"withHeader": "a b" is not the name of a header field`,
		`{"route":"*","withHeader":{"":"c"}}`:                      `"withHeader": "" is not the name of a header field`,
		`{"route":"*","withHeader":{"X":"a\r\nb"}}`:                `"withHeader": "a\r\nb" is not the value of a header field`,
		`{"route":"*","withHeader":{"X":""}}`:                      `"withHeader": "X" needs a value: use "withoutHeader" to remove the field`,
		`{"route":"*","withHeader":{"connection":"x"}}`:            `"withHeader": "connection" marks the end of the answer and cannot be changed: use "hangUp": "body" instead`,
		`{"route":"*","withoutHeader":"X","withHeader":{"x":"y"}}`: `"withHeader": "x" is also in "withoutHeader": leave it out of one of them`,
		`{"route":"*","withHeader":{"X":"y"},"withoutHeader":"Y"}`: "",
	})
}

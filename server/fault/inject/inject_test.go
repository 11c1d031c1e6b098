package inject_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/fault/inject"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/rpc"
	"gcp-metadata-emulator/server/wire"
)

func TestAnswer(t *testing.T) {
	t.Parallel()
	dialect := wire.Dialect{Error: func(_ *http.Request, err error) wire.Response {
		return wire.Response{Status: http.StatusTeapot, Body: err.Error()}
	}}
	whole := wire.Response{ContentType: "text/plain", Body: "12345", Header: []wire.Field{{Name: "X-A", Value: "b"}}}
	defective := whole
	defective.Defective = true
	for name, test := range map[string]struct {
		rule    fault.Rule
		surface wire.Response
		method  string
		body    string
		struck  bool
		hungUp  bool
	}{
		"status":                      {fault.Rule{Status: 503}, whole, http.MethodGet, "Service Unavailable", true, false},
		"body":                        {fault.Rule{Body: json.RawMessage(`"x"`)}, whole, http.MethodGet, "x", true, false},
		"malformed":                   {fault.Rule{Malformed: true}, whole, http.MethodGet, "123{", true, false},
		"hang up before":              {fault.Rule{HangUp: fault.BeforeAny}, whole, http.MethodGet, "", true, true},
		"hang up during":              {fault.Rule{HangUp: fault.DuringBody}, whole, http.MethodGet, "123", true, false},
		"hang up of HEAD":             {fault.Rule{HangUp: fault.DuringBody}, whole, http.MethodHead, "", true, true},
		"redirected":                  {fault.Rule{Status: 307, Location: "http://x/"}, whole, http.MethodGet, "Temporary Redirect", true, false},
		"without a header":            {fault.Rule{WithoutHeader: "x-a"}, whole, http.MethodGet, "12345", true, false},
		"without a header it lacks":   {fault.Rule{WithoutHeader: "X-B"}, whole, http.MethodGet, "12345", false, false},
		"with a header":               {fault.Rule{WithHeader: map[string]string{"x-a": "c"}}, whole, http.MethodGet, "12345", true, false},
		"with the header it has":      {fault.Rule{WithHeader: map[string]string{"X-A": "b"}}, whole, http.MethodGet, "12345", false, false},
		"defect":                      {fault.Rule{Defect: "expired"}, defective, http.MethodGet, "12345", true, false},
		"defect of an answer without": {fault.Rule{Defect: "expired"}, whole, http.MethodGet, "12345", false, false},
	} {
		r := httptest.NewRequest(test.method, "/", nil)
		got := inject.Answer(r, fault.Fault{Rule: test.rule}, dialect, func(*http.Request) wire.Response { return test.surface })
		if got.Response.Body != test.body || got.Struck != test.struck || got.HungUp != test.hungUp {
			t.Errorf("%s: body %q, struck %v, hung up %v", name, got.Response.Body, got.Struck, got.HungUp)
		}
		leads := slices.Contains(got.Response.Header, wire.Field{Name: "Location", Value: test.rule.Location})
		if leads != (test.rule.Location != "") {
			t.Errorf("%s: the header is %v", name, got.Response.Header)
		}
	}
}

func TestCall(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rule      fault.Rule
		defective bool
		status    string // empty: the method answers
		struck    bool
	}{
		"status":                      {fault.Rule{Status: 503}, false, "UNAVAILABLE", true},
		"status without a code":       {fault.Rule{Status: 418}, false, "UNKNOWN", true},
		"hang up":                     {fault.Rule{HangUp: fault.BeforeAny}, false, "UNAVAILABLE", true},
		"malformed":                   {fault.Rule{Malformed: true}, false, "INTERNAL", true},
		"defect":                      {fault.Rule{Defect: "expired"}, true, "", true},
		"defect of an answer without": {fault.Rule{Defect: "expired"}, false, "", false},
	} {
		answer, struck, err := inject.Call(t.Context(), fault.Fault{Rule: test.rule}, func(context.Context) (rpc.Answer, error) {
			return rpc.Answer{Defective: test.defective}, nil
		})
		var status string
		if known, ok := errors.AsType[*googleapi.Error](err); ok {
			status = known.Status
		}
		if status != test.status || struck != test.struck || answer.Defective != test.defective {
			t.Errorf("%s: status %q, struck %v, answer %+v", name, status, struck, answer)
		}
	}
}

package router_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/router"
)

// If a path is requested again, it leads to the same route with the same variables. A request does not see
// the variables of another request.
func TestPatterns(t *testing.T) {
	t.Parallel()
	says := func(name string) func() http.Handler {
		return func() http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "%s %s %s", name, r.PathValue("account"), r.PathValue("key"))
			})
		}
	}
	handler := router.New([]router.Route{
		{Method: http.MethodPost, Path: "/v1/accounts/{account:[^/:]+}:sign", Handler: says("sign"), Unknown: says("unknown")},
		{Method: http.MethodGet, Path: "/v1/accounts/{account}", Handler: says("read"), Unknown: says("unknown")},
		{Method: http.MethodGet, Path: "/v1/accounts/{account}/keys/{key}", Handler: says("key"), Unknown: says("unknown")},
		{Method: http.MethodGet, Path: "/v1/accounts", Handler: says("list"), Unknown: says("unknown")},
	}, says("elsewhere"))
	long := strings.Repeat("x", 1000)
	for range 3 {
		for request, want := range map[string]string{
			"POST /v1/accounts/a:sign":          "sign a ",
			"POST /v1/accounts/b%40c:sign":      "sign b@c ",
			"GET /v1/accounts/b%40c":            "read b@c ",
			"HEAD /v1/accounts/b%40c":           "read b@c ",
			"GET /v1/accounts/a%2Fb?access=yes": "read a/b ",
			"GET /v1/accounts/a/keys/1":         "key a 1",
			"GET /v1/accounts/a/keys/2/":        "key a 2",
			"GET /v1/accounts/" + long:          "read " + long + " ",
			"GET //v1/accounts":                 "list  ",
			"POST /v1/accounts/a":               "unknown  ",
			"GET /v1/accounts/a:sign":           "read a:sign ",
			"GET /v1/accounts/a/b":              "unknown  ",
			"GET /v2":                           "elsewhere  ",
		} {
			method, target, _ := strings.Cut(request, " ")
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, httptest.NewRequest(method, target, http.NoBody))
			if got := recorder.Body.String(); got != want {
				t.Errorf("%.80s: %.80q, want %.80q", request, got, want)
			}
		}
	}
}

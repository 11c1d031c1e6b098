package router_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/router"
)

func TestMainName(t *testing.T) {
	t.Parallel()
	names := router.NewNames([]string{
		"accounts.google.com", "iamcredentials.googleapis.com", "oauth2.googleapis.com", "run.googleapis.com", "sts.googleapis.com", router.MetadataName,
	}, nil)
	for host, want := range map[string]string{
		"oauth2.googleapis.com":              "oauth2.googleapis.com",
		"oauth2.mtls.googleapis.com":         "oauth2.googleapis.com",
		"sts.us-east1.rep.googleapis.com":    "sts.googleapis.com",
		"us-central1-run.googleapis.com":     "run.googleapis.com",
		"us-central1-storage.googleapis.com": router.DeadName,
		"iamcredentials.mtls.googleapis.com": "iamcredentials.googleapis.com",
		"metadata.google.internal":           router.MetadataName,
		"metadata.goog":                      router.MetadataName,
		"accounts.google.com":                "accounts.google.com",
		"storage.googleapis.com":             router.DeadName,
		"storage.mtls.googleapis.com":        router.DeadName,
		"oauth2.evil.googleapis.com":         router.DeadName,
	} {
		if got := names.Main(host); got != want {
			t.Errorf("Main(%q) = %q, want %q", host, got, want)
		}
	}
}

// The number of handlers does not grow with the number of names in requests.
func TestNamesShareHandlers(t *testing.T) {
	t.Parallel()
	var made []string
	names := router.NewNames([]string{"oauth2.googleapis.com"}, func(name string) http.Handler {
		made = append(made, name)
		return answering(name)
	})
	for host, want := range map[string]string{
		"a.googleapis.com": router.DeadName, "b.googleapis.com": router.DeadName, "oauth2.googleapis.com": "oauth2.googleapis.com",
	} {
		if got := ask(names.Handler(host), http.MethodGet, "/"); got != want {
			t.Errorf("%s is answered by %q, want %q", host, got, want)
		}
	}
	if len(made) != 2 {
		t.Errorf("handlers are made for %q", made)
	}
}

func answering(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(name + r.PathValue("account")))
	})
}

func ask(handler http.Handler, method, target string) string {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(method, "http://127.0.0.1"+target, nil))
	return recorder.Body.String()
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	route := func(method, path, name, unknown string) router.Route {
		return router.Route{
			Method: method, Path: path,
			Handler: func() http.Handler { return answering(name) }, Unknown: func() http.Handler { return answering(unknown) },
		}
	}
	handler := router.New([]router.Route{
		route(router.GetOrPost, "/", "ping", "no ping"),
		route(http.MethodGet, "/tree"+router.Below, "tree", "no tree"),
		route(http.MethodPost, "/v1/{account:[^/:]+}:sign", "sign ", "no v1"),
		route(http.MethodGet, "/v1/{account:[^/:]+}", "get ", "never"),
		route(http.MethodPost, "/v1/token", "token", "never"),
	}, func() http.Handler { return answering("nobody") })
	got := map[string]string{}
	want := map[string]string{
		"GET /": "ping", "POST /": "ping", "DELETE /": "no ping", "GET //": "ping", "GET /other": "no ping",
		"GET /tree": "tree", "PUT /tree/a/b": "tree", "GET //tree//a": "tree", "GET /trees": "no ping",
		"POST /v1/a%40b:sign": "sign a@b", "GET /v1/a@b": "get a@b", "HEAD /v1/a@b": "get a@b",
		"GET /v1/a@b:sign": "no v1", "PUT /v1/a@b": "no v1", "POST /v1/token": "token", "POST /v1/tok%65n": "no v1", "GET /v1/a/b": "no v1",
	}
	for request := range want {
		method, target, _ := strings.Cut(request, " ")
		got[request] = ask(handler, method, target)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests are answered by others (-want +got):\n%s", diff)
	}
	if got := ask(router.New(nil, func() http.Handler { return answering("nobody") }), http.MethodGet, "/a"); got != "nobody" {
		t.Errorf("without a route %q answers", got)
	}
}

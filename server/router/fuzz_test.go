package router_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/router"
)

// FuzzEntrance checks that no path leads a request with a stranger's host name past the refusal, and that
// a path under the emulator's own names leads to no host but Google's.
func FuzzEntrance(f *testing.F) {
	for _, seed := range [][2]string{
		{"", "/"},
		{"localhost:80", "/hosts/oauth2.googleapis.com/token"},
		{"127.0.0.1", "//hosts/sts.googleapis.com//v1/token"},
		{"localhost", "/hosts/oauth2.googleapis.com"},
		{"[::1]:80", "/hosts/evil.example/%2F..%2f?a=b"},
		{"metadata", "/hosts/A.googleapis.com:443/x;y"},
		{"vm.localhost", "/hosts/[::1]/.."},
		{"metadata.google.internal.", "/healthz"},
		{"a.googleapis.com", "/hosts/%6f.googleapis.com//evil.example/"},
	} {
		f.Add(seed[0], seed[1])
	}
	var led *http.Request
	leads := func(to string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			led = r
			_, _ = io.WriteString(w, to)
		})
	}
	const probe, refused = "/healthz", "refused"
	entrance := router.NewEntrance(router.Config{
		IsInstance:   func(name string) bool { return name == "vm" },
		Universe:     func() string { return "googleapis.com" },
		Service:      func(*http.Request) http.Handler { return nil },
		Everything:   leads("everything"),
		Probes:       []string{probe},
		Nowhere:      leads("nowhere"),
		Refused:      leads(refused),
		Names:        router.NewNames([]string{"oauth2.googleapis.com", router.MetadataName}, leads),
		WithInstance: func(ctx context.Context, _ string) context.Context { return ctx },
	})
	f.Fuzz(func(t *testing.T, host, target string) {
		parsed, err := url.ParseRequestURI("/" + strings.TrimPrefix(target, "/"))
		if err != nil {
			t.Skip("not the target of a request")
		}
		ask := func(host string) string {
			request := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			request.Host, request.URL, request.RequestURI = host, parsed, parsed.RequestURI()
			recorder := httptest.NewRecorder()
			entrance.ServeHTTP(recorder, request)
			return recorder.Body.String()
		}
		name, _, _ := strings.Cut(host, ":")
		if got := ask(name + ".attacker.example:80"); got != refused && parsed.Path != probe {
			t.Errorf("the name of a stranger leads to %s", got)
		}
		ask(host)
		if led.Host != host && !strings.HasSuffix(led.Host, ".googleapis.com") && !strings.HasSuffix(led.Host, ".google.com") && led.Host != "www.gstatic.com" {
			t.Errorf("host %q and target %q lead to host %q", host, target, led.Host)
		}
		if !strings.HasPrefix(led.URL.Path, "/") || led.URL.Host != "" {
			t.Errorf("host %q and target %q lead to %q", host, target, led.URL)
		}
	})
}

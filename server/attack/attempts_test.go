package attack_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"gcp-metadata-emulator/server/attack"
	"gcp-metadata-emulator/server/token"
)

// run attacks a service, and returns the results by the names of the tokens, and the orders for them.
func run(t *testing.T, target attack.Target, service http.HandlerFunc) (map[string]attack.Result, []attack.Order) {
	t.Helper()
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	var orders []attack.Order
	target.URL, target.Method, target.Audience = server.URL, http.MethodPost, "https://a.example.com"
	target.Mint = func(_ context.Context, order attack.Order) (string, error) {
		orders = append(orders, order)
		return string(order.Kind) + ":" + string(order.Defect), nil
	}
	results, err := attack.Run(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]attack.Result{}
	for _, result := range results {
		if _, double := byName[result.Token]; double {
			t.Errorf("two attempts are called %q", result.Token)
		}
		byName[result.Token] = result
	}
	return byName, orders
}

// Every defect that the good token can have is tried, in the right header field.
func TestEveryDefectIsTried(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]struct {
		kind token.Kind
		good string
	}{
		"Authorization":              {token.KindID, "Bearer id:"},
		"X-Serverless-Authorization": {token.KindID, "Bearer id:"},
		"X-Token":                    {token.KindID, "id:"},
		"x-goog-iap-jwt-assertion":   {token.KindIAP, "iap:"},
	} {
		var seen []string
		results, orders := run(t, attack.Target{Header: header}, func(_ http.ResponseWriter, r *http.Request) {
			seen = append(seen, r.Header.Get(header))
			if r.Method != http.MethodPost {
				t.Errorf("method %s", r.Method)
			}
		})
		for _, defect := range want.kind.Defects() {
			if _, tried := results[string(defect)]; !tried {
				t.Errorf("%s: a token with defect %q was not tried", header, defect)
			}
		}
		if seen[0] != want.good || seen[1] != "" || seen[len(seen)-1] != want.good {
			t.Errorf("%s: sent %q", header, seen)
		}
		if !slices.ContainsFunc(orders, func(order attack.Order) bool { return order.Kind == token.KindJWT }) {
			t.Errorf("%s: no self-signed JWT was tried", header)
		}
	}
}

// A status outside 2xx is a refusal, redirects are not followed, and a service that fails is told.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	results, _ := run(t, attack.Target{Header: "Authorization"}, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "Bearer id:":
		case "Bearer id:expired":
			w.WriteHeader(http.StatusNoContent)
		case "Bearer id:revoked":
			w.WriteHeader(http.StatusAccepted)
		case "Bearer id:tampered":
			w.WriteHeader(http.StatusInternalServerError)
		case "Bearer id:alg-none":
			panic(http.ErrAbortHandler)
		case "Bearer id:unknown-key":
			http.Redirect(w, r, "/sign-in", http.StatusFound)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	for name, want := range map[string]attack.Result{
		"good":        {Status: 200, Verdict: attack.Right},
		"no token":    {Status: 401, Verdict: attack.Right},
		"expired":     {Status: 204, Verdict: attack.Hole},
		"revoked":     {Status: 202, Verdict: attack.Lenient},
		"tampered":    {Status: 500, Verdict: attack.Broken},
		"alg-none":    {Status: 0, Verdict: attack.Broken},
		"unknown-key": {Status: 302, Verdict: attack.Right},
	} {
		got := results[name]
		if got.Status != want.Status || got.Verdict != want.Verdict || (got.Note == "") != (want.Verdict == attack.Right) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	refused, _ := run(t, attack.Target{Header: "Authorization"}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	if got := refused["good"]; got.Verdict != attack.Closed || len(refused) != 1 {
		t.Errorf("a service that refuses everything: %+v", refused)
	}
}

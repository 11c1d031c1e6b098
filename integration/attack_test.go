package integration_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/attack"
	"gcp-metadata-emulator/server/servertest"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/idtoken"
	"google.golang.org/api/option"
)

// The attack is right about Google's library for Go: the library accepts a token exactly if the
// attack says so, and accepts no token that the attack counts as a hole.
func TestAttackOnGoReceiver(t *testing.T) {
	t.Parallel()
	const audience = "https://orders.example.com"
	emu := servertest.New(t)
	validator, err := idtoken.NewValidator(t.Context(), option.WithHTTPClient(emu.Client()))
	if err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, err := validator.Validate(r.Context(), text, audience); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(service.Close)
	want := []string{
		"not-yet-valid", "wrong-issuer", "missing-email", "unverified-email", "revoked", "critical-header", "last-letter",
		"issuer in other case", "issuer without scheme", "replayed",
	}
	if diff := cmp.Diff(want, lenient(t, emu, service.URL, audience)); diff != "" {
		t.Errorf("let in (-want +got):\n%s", diff)
	}
}

// The same holds for Google's library for Java.
func TestAttackOnJavaReceiver(t *testing.T) {
	t.Parallel()
	const audience = "https://orders.example.com"
	command := java(t, javaOfGcloud(t), "clients/java/Receiver.java")
	emu := servertest.New(t)
	service := startReceiver(t, append(command, "Receiver", audience, emu.URL+"/oauth2/v3/certs"))
	want := []string{
		"not-yet-valid", "wrong-issuer", "missing-email", "unverified-email", "revoked", "critical-header", "trailing-bytes", "last-letter",
		"without expiry", "issuer in other case", "issuer without scheme", "replayed",
	}
	if diff := cmp.Diff(want, lenient(t, emu, service.String(), audience)); diff != "" {
		t.Errorf("let in (-want +got):\n%s", diff)
	}
}

// lenient attacks a service, and returns the names of the tokens that it let in and may let in.
func lenient(t *testing.T, emu *servertest.Emulator, service, audience string) []string {
	t.Helper()
	results, err := attack.Run(t.Context(), attack.Target{
		URL: service, Method: http.MethodGet, Header: "Authorization", Audience: audience,
		Mint: func(_ context.Context, order attack.Order) (string, error) {
			return emu.Mint(servertest.Order{Kind: order.Kind, Audience: order.Audience, Claims: order.Claims, Defect: order.Defect}), nil //nolint:contextcheck // the emulator is in this process
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if attack.IsClosed(results) || len(attack.Holes(results)) > 0 {
		t.Errorf("the service refused the good token, or has holes: %+v", results)
	}
	var names []string
	for _, result := range results {
		if result.Verdict == attack.Lenient {
			names = append(names, result.Token)
		}
	}
	return names
}

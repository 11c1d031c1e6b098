package ingress_test

import (
	"strings"
	"testing"

	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/token"
)

// FuzzDecide checks that no request is let in to a service that is not everybody's, but with a token
// that Verify takes for the caller's.
func FuzzDecide(f *testing.F) {
	r := newRig(f)
	good := r.id(f, login, profiles, nil)
	for _, header := range []string{
		"", "Bearer", "Bearer ", "bearer " + good, "Bearer " + unsigned(good), "Basic " + good, "Bearer " + good + "," + good, "Bearer " + good + " ",
		"Bearer " + r.id(f, stranger, profiles, nil), "Bearer " + r.mint(f, login, token.Order{Kind: token.KindAccess}),
		"Bearer " + r.mint(f, login, token.Order{Kind: token.KindJWT, Audience: profiles}), "Bearer a.b.c", "Bearer\t" + good,
		"Bearer " + r.id(f, login, gcloud, nil), "Bearer " + r.id(f, login, profiles+"?", nil), "Bearer " + r.id(f, login, "http://[", nil),
	} {
		f.Add(header, "", "/")
		f.Add("", header, "/healthz")
		f.Add(header, header, "/a?b")
	}
	door := r.door(f, "user-profiles")
	f.Fuzz(func(t *testing.T, authorization, serverless, path string) {
		request := ingress.Request{Path: path}
		deciding := authorization
		if authorization != "" {
			request.Authorization = []string{authorization}
		}
		if serverless != "" {
			request.Serverless, deciding = []string{serverless}, serverless
		}
		verdict := ingress.Decide(request, door)
		if verdict.Refusal != nil {
			if verdict.Refusal.Status < 400 || verdict.Refusal.Reason.Sentence == "" {
				t.Fatalf("it is refused with %+v", verdict.Refusal)
			}
			return
		}
		_, text, _ := strings.Cut(strings.TrimSpace(deciding), " ")
		verified, err := r.Verify(t.Context(), r.world, strings.TrimSpace(text), token.Demand{})
		if err != nil || verified.Principal.Member() != verdict.Caller.Member() || verified.Kind != token.KindID {
			t.Fatalf("%q is let in as %q, and Verify says %+v, %v", deciding, verdict.Caller.Member(), verified, err)
		}
	})
}

package iap_test

import (
	"testing"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/iap"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/token"
)

// Admits says of every principal and every service what the door decides about a request with a token
// of the principal that is good for the service, or without a token.
func TestAdmitsAsTheDoorDecides(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	admitted := map[bool]int{}
	for _, service := range r.world.Services() {
		at := r.door(t, service.Name)
		check := func(name string, who iam.Principal, bearer []string) {
			known := ingress.Request{Path: "/", Authorization: bearer, IsInternal: true}
			verdict := ingress.Decide(known, at)
			if iap.Guards(service) {
				asked := iap.Request{Request: known}
				if who.Kind == iam.KindUser {
					asked.Authorization, asked.Session = nil, who.ID
				}
				verdict = iap.Decide(asked, at).Verdict
			}
			want := verdict.Refusal == nil
			if got := iap.Admits(at, who); got != want {
				t.Errorf("service %s, %q: admitted %t, but the door lets it in: %t", service.Name, name, got, want)
			}
			admitted[want]++
		}
		order := token.Order{Kind: token.KindID, Audience: service.URLs[0]}
		if iap.Guards(service) {
			order = token.Order{Kind: token.KindJWT, Audience: service.URLs[0] + "/*"}
		}
		check("", iam.Principal{}, nil)
		for _, who := range []string{login, grouped, stranger} {
			principal, _ := r.world.Principal(who)
			check(who, principal, r.mint(t, who, order))
		}
		for _, who := range []string{dev, "eve@example.com"} {
			principal, _ := r.world.Principal(who)
			check(who, principal, r.mint(t, who, token.Order{Kind: token.KindID, Audience: service.URLs[0]}))
		}
	}
	if admitted[true] < 5 || admitted[false] < 5 {
		t.Errorf("the world lets in or refuses too few to prove something: %v", admitted)
	}
}

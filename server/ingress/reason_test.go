package ingress_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/token"
)

// The pages are Google's to the byte.
func TestPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const begin = "\n<html><head>\n<meta http-equiv=\"content-type\" content=\"text/html;charset=utf-8\">\n"
	const body = "</head>\n<body text=#000000 bgcolor=#ffffff>\n"
	for name, test := range map[string]struct {
		service, path string
		header        []string
		length        int // of the page
		want          string
	}{
		"forbidden": {
			"user-profiles", "/", nil, 295,
			begin + "<title>403 Forbidden</title>\n" + body + "<h1>Error: Forbidden</h1>\n" +
				"<h2>Your client does not have permission to get URL <code>/</code> from this server.</h2>\n<h2></h2>\n</body></html>\n",
		},
		"unauthorized": {
			"user-profiles", "/",
			[]string{"Bearer x"},
			294,
			begin + "<title>401 Unauthorized</title>\n" + body + "<h1>Error: Unauthorized</h1>\n" +
				"<h2>Your client does not have permission to the requested URL <code>/</code>.</h2>\n<h2></h2>\n</body></html>\n",
		},
		"not found": {
			"inside", "/a", nil, 272,
			begin + "<title>404 Page not found</title>\n" + body + "<h1>Error: Page not found</h1>\n" +
				"<h2>The requested URL was not found on this server.</h2>\n<h2></h2>\n</body></html>\n",
		},
		"a path with HTML": {
			"user-profiles", "/<b>&", nil, 309,
			begin + "<title>403 Forbidden</title>\n" + body + "<h1>Error: Forbidden</h1>\n" +
				"<h2>Your client does not have permission to get URL <code>/&lt;b&gt;&amp;</code> from this server.</h2>\n<h2></h2>\n</body></html>\n",
		},
		"reserved": {"open", "/healthz", nil, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusal := ingress.Decide(ingress.Request{Path: test.path, Authorization: test.header}, r.door(t, test.service)).Refusal
			if diff := cmp.Diff(test.want, refusal.Body); diff != "" || len(refusal.Body) != test.length {
				t.Errorf("%d bytes, want %d (-want +got):\n%s", len(refusal.Body), test.length, diff)
			}
		})
	}
}

// Every reason for a refusal, word for word.
func TestReasons(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const ask = "gcp-metadata-emulator token id --audience " + profiles
	const want = `ask for an ID token with the audience "` + profiles + `"`
	for name, test := range map[string]explained{
		"no credential": {"", ingress.Reason{
			Code: reason.NoCredential, Sentence: `the request to service "user-profiles" has no credential`,
			Hint: "send an ID token: " + ask + ", in the header Authorization: Bearer TOKEN",
		}},
		"access token": {r.mint(t, login, token.Order{Kind: token.KindAccess}), ingress.Reason{
			Code: reason.AccessToken, Sentence: `this is an access token, and service "user-profiles" takes ID tokens only`,
			Hint: "send an ID token: " + ask, Caller: "serviceAccount:" + login,
		}},
		"self-signed": {r.mint(t, login, token.Order{Kind: token.KindJWT, Audience: profiles}), ingress.Reason{
			Code:     reason.NotIDToken,
			Sentence: `this is a self-signed JWT of "serviceAccount:` + login + `", and service "user-profiles" takes ID tokens only`,
			Hint:     "send an ID token: " + ask, Caller: "serviceAccount:" + login,
		}},
		"expired": {r.mint(t, login, token.Order{Kind: token.KindID, Audience: profiles, Defect: token.Expired}), ingress.Reason{
			Code: reason.InvalidToken, Sentence: "the token expired at 2026-11-21T11:00:00Z, 1h0m0s ago", Hint: "send an ID token: " + ask,
		}},
		"missing role": {r.id(t, stranger, profiles, nil), ingress.Reason{
			Code: reason.MissingRole, Caller: "serviceAccount:" + stranger,
			Sentence: `"serviceAccount:` + stranger + `" may not invoke service "user-profiles": it lacks run.routes.invoke`,
			Hint:     "gcloud run services add-iam-policy-binding user-profiles --region=europe-west1 --member=serviceAccount:" + stranger + " --role=roles/run.invoker",
			Missing: &ingress.Missing{
				Permission: iam.InvokeRoute, Resource: "projects/123456789012/locations/europe-west1/services/user-profiles",
				Roles: []string{"roles/run.invoker", "roles/run.servicesInvoker", "roles/run.admin", "roles/editor", "roles/owner"},
			},
		}},
		"query": audienceRow(r.id(t, login, profiles+"/x?a=b", nil), profiles+"/x?a=b",
			`leave the query and the fragment out of the audience: "`+profiles+`/x"`),
		"tag": audienceRow(r.id(t, login, "https://green---user-profiles-123456789012.europe-west1.run.app", nil),
			"https://green---user-profiles-123456789012.europe-west1.run.app", `the audience is the service's URL even if a tag is called: "`+profiles+`"`),
		"http": audienceRow(r.id(t, login, "http"+strings.TrimPrefix(profiles, "https")+"/a", nil),
			"http"+strings.TrimPrefix(profiles, "https")+"/a", `write https in the audience: "`+profiles+`/a"`),
		"another service": audienceRow(r.id(t, login, anybody, nil), anybody, `the token is for service "anybody": `+want),
		"unknown":         audienceRow(r.id(t, login, "https://example.com", nil), "https://example.com", want),
		"not a URL":       audienceRow(r.id(t, login, "::", nil), "::", want),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var header []string
			if test.token != "" {
				header = []string{"Bearer " + test.token}
			}
			refusal := ingress.Decide(ingress.Request{Path: "/", Authorization: header}, r.door(t, "user-profiles")).Refusal
			if refusal == nil {
				t.Fatal("it is let in")
			}
			if diff := cmp.Diff(test.want, refusal.Reason); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// explained is a token, empty for none, and what a developer is told about it.
type explained struct {
	token string
	want  ingress.Reason
}

func audienceRow(text, audience, hint string) explained {
	return explained{text, ingress.Reason{
		Code: reason.WrongAudience, Hint: hint, Caller: "serviceAccount:" + login,
		Sentence: `the token is for "` + audience + `", and service "user-profiles" expects "` + profiles + `"`,
	}}
}

// The rule for signatures can be chosen, and is about tokens that were checked.
func TestSignatures(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.id(t, login, profiles, nil)
	value := "Bearer " + good
	authorization := []ingress.Field{{Name: "Authorization", Value: "Bearer " + unsigned(good)}}
	serverless := []ingress.Field{{Name: "X-Serverless-Authorization", Value: "Bearer " + unsigned(good)}}
	for signature, want := range map[fixtures.Signature][2][]ingress.Field{ // by the header
		fixtures.SignatureAuto:   {nil, serverless},
		fixtures.SignatureAlways: {authorization, serverless},
		fixtures.SignatureNever:  {nil, nil},
	} {
		door := r.door(t, "user-profiles")
		service := *door.Service
		service.Signature, door.Service = signature, &service
		got := [2][]ingress.Field{
			ingress.Decide(ingress.Request{Path: "/", Authorization: []string{value}}, door).Header,
			ingress.Decide(ingress.Request{Path: "/", Serverless: []string{value}}, door).Header,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", signature, diff)
		}
		service.Authentication = fixtures.AuthenticateNone
		if header := ingress.Decide(ingress.Request{Path: "/", Authorization: []string{value}}, door).Header; header != nil {
			t.Errorf("%s: a header that nobody looked at becomes %v", signature, header)
		}
	}
}

// A token that was read before it expired is refused once it has.
func TestDecideLooksAtTheTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	request := ingress.Request{Path: "/", Authorization: []string{"Bearer " + r.id(t, login, profiles, nil)}}
	door := r.door(t, "user-profiles")
	door.Now = r.now.Add(time.Hour - time.Second)
	if verdict := ingress.Decide(request, door); verdict.Refusal != nil {
		t.Error(verdict.Refusal.Reason)
	}
	door.Now = r.now.Add(time.Hour)
	if verdict := ingress.Decide(request, door); verdict.Refusal == nil || verdict.Refusal.Status != 401 {
		t.Error("a token is good after its time")
	}
}

// Policies hold from the moment at which they are set.
func TestDecideFollowsPolicies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	request := ingress.Request{Path: "/", Authorization: []string{"Bearer " + r.id(t, stranger, profiles, nil)}}
	granted := iam.NewPolicy([]iam.Binding{{Role: "roles/run.invoker", Members: []string{"serviceAccount:" + stranger}}})
	before, after := r.door(t, "user-profiles"), r.door(t, "user-profiles")
	after.World = after.World.WithPolicy(after.Service, granted)
	if ingress.Decide(request, before).Refusal == nil || ingress.Decide(request, after).Refusal != nil {
		t.Error("the policy does not decide")
	}
}

// A role on a condition is a role for as long as the condition holds.
func TestDecideLooksAtConditions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	door := r.door(t, "user-profiles")
	door.World = door.World.WithPolicy(door.Service, iam.NewPolicy([]iam.Binding{{
		Role: "roles/run.invoker", Members: []string{"serviceAccount:" + stranger},
		Condition: &iam.Condition{Title: "until one", Expression: `request.time < timestamp("2026-11-21T12:30:00Z")`},
	}}))
	request := ingress.Request{Path: "/", Authorization: []string{"Bearer " + r.id(t, stranger, profiles, nil)}}
	if refusal := ingress.Decide(request, door).Refusal; refusal != nil {
		t.Errorf("while the condition holds: %+v", refusal.Reason)
	}
	door.Now = r.now.Add(30 * time.Minute)
	if refusal := ingress.Decide(request, door).Refusal; refusal == nil || refusal.Reason.Code != reason.MissingRole {
		t.Error("the role outlives its condition")
	}
}

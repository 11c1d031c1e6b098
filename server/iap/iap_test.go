package iap_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/iap"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
	"gcp-metadata-emulator/signer"
)

const (
	login    = "login@demo-project.iam.gserviceaccount.com"
	grouped  = "grouped@demo-project.iam.gserviceaccount.com"
	stranger = "stranger@demo-project.iam.gserviceaccount.com"
	dev      = "dev@example.com"

	console = "https://console-123456789012.us-central1.run.app"
	office  = "https://office-123456789012.us-central1.run.app"
	client  = "123-mine.apps.googleusercontent.com"
	backend = "/projects/123456789012/global/backendServices/8886178065039511317"
)

// rig is a world with doors, and an issuer whose tokens they read.
type rig struct {
	*token.Issuer

	world *world.World
	now   time.Time
}

func newRig(t testing.TB) *rig {
	t.Helper()
	text, err := os.ReadFile(worldtest.Testdata(t, "ingress.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{world: worldtest.Parse(t, string(text)), now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return r.now }
	r.Issuer = token.NewIssuer(worldtest.Ring(clock), clock)
	return r
}

func (r *rig) door(t testing.TB, service string) ingress.Door {
	t.Helper()
	found, ok := r.world.Service(service)
	if !ok {
		t.Fatalf("there is no service %q", service)
	}
	return ingress.Door{
		World: r.world, Service: found, Addresses: []string{"http://127.0.0.1:8081"}, Now: r.now, Read: ingress.Reader(t.Context(), r.Issuer, r.world),
	}
}

func (r *rig) mint(t testing.TB, who string, order token.Order) []string {
	t.Helper()
	principal, ok := r.world.Principal(who)
	if !ok {
		t.Fatalf("there is no %q", who)
	}
	order.Principal = principal
	minted, err := r.Mint(t.Context(), r.world, order)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"Bearer " + minted.Text}
}

func (r *rig) id(t testing.TB, who string, claims map[string]any) []string {
	t.Helper()
	return r.mint(t, who, token.Order{Kind: token.KindID, Audience: client, Claims: claims})
}

func (r *rig) jwt(t testing.TB, who, audience string, claims map[string]any) []string {
	t.Helper()
	return r.mint(t, who, token.Order{Kind: token.KindJWT, Audience: audience, Claims: claims})
}

// row is what is presented to which service, and what comes of it.
type row struct {
	service       string
	authorization []string
	proxy         []string
	session       string
	browser       bool

	status int // 0: let in
	code   reason.Code
	caller string
	open   bool // it is let in without an assertion
}

func (r *rig) rows(t *testing.T) map[string]row {
	t.Helper()
	user, _ := r.world.User(dev)
	eve, _ := r.world.User("eve@example.com")
	account, mail := "serviceAccount:"+login, "user:"+dev
	foreign := &rig{Issuer: token.NewIssuer(worldtest.Ring(time.Now), r.Now), world: r.world, now: r.now}
	return map[string]row{
		"nothing":                     {status: 401, code: reason.NoCredential},
		"nothing, browser":            {browser: true, status: 302, code: reason.NoCredential},
		"another scheme":              {authorization: []string{"Basic dTpw"}, status: 401, code: reason.NoCredential},
		"garbage":                     {authorization: []string{"Bearer x"}, browser: true, status: 401, code: reason.MalformedToken},
		"two":                         {authorization: append(r.id(t, login, nil), r.id(t, login, nil)...), status: 401, code: reason.MalformedToken},
		"bad signature":               {authorization: r.mint(t, login, token.Order{Kind: token.KindID, Audience: client, Defect: token.Tampered}), status: 401, code: reason.InvalidToken},
		"expired":                     {authorization: r.mint(t, login, token.Order{Kind: token.KindID, Audience: client, Defect: token.Expired}), status: 401, code: reason.ExpiredToken},
		"signed by Google":            {authorization: foreign.id(t, login, nil), status: 401, code: reason.RealGoogle},
		"an assertion":                {authorization: r.mint(t, dev, token.Order{Kind: token.KindIAP, Audience: backend}), status: 401, code: reason.NotIDToken, caller: mail},
		"wrong audience":              {authorization: r.id(t, login, map[string]any{"aud": console}), status: 401, code: reason.WrongAudience, caller: account},
		"audience of the assertion":   {authorization: r.id(t, login, map[string]any{"aud": backend}), status: 401, code: reason.WrongAudience, caller: account},
		"without e-mail":              {authorization: r.id(t, login, map[string]any{"email": nil, "email_verified": nil}), status: 401, code: reason.NoEmail, caller: account},
		"without the role":            {authorization: r.id(t, stranger, nil), status: 403, code: reason.MissingRole, caller: "serviceAccount:" + stranger},
		"good":                        {authorization: r.id(t, login, nil), caller: account},
		"scheme in any case":          {authorization: []string{"b" + r.id(t, login, nil)[0][1:]}, caller: account},
		"user's access token":         {authorization: r.mint(t, dev, token.Order{Kind: token.KindAccess}), status: 401, code: reason.AccessToken, caller: mail},
		"unknown access token":        {authorization: []string{"Bearer ya29.c.unknown"}, status: 401, code: reason.AccessToken},
		"account's access token":      {authorization: r.mint(t, login, token.Order{Kind: token.KindAccess}), caller: account},
		"self-signed":                 {authorization: r.jwt(t, login, console+"/*", nil), caller: account},
		"self-signed for the URL":     {authorization: r.jwt(t, login, console+"/a", nil), caller: account},
		"self-signed for the address": {authorization: r.jwt(t, login, "http://127.0.0.1:8081/*", nil), caller: account},
		"self-signed for the origin":  {authorization: r.jwt(t, login, console, nil), status: 401, code: reason.WrongTarget, caller: account},
		"self-signed for another URL": {authorization: r.jwt(t, login, console+"/b", nil), status: 401, code: reason.WrongTarget, caller: account},
		"self-signed for another":     {authorization: r.jwt(t, login, office+"/*", nil), status: 401, code: reason.WrongTarget, caller: account},
		"self-signed for too long":    {authorization: r.jwt(t, login, console+"/*", map[string]any{"exp": r.now.Add(2 * time.Hour).Unix()}), status: 401, code: reason.InvalidToken, caller: account},
		"self-signed without an end":  {authorization: r.jwt(t, login, console+"/*", map[string]any{"exp": nil}), status: 401, code: reason.InvalidToken, caller: account},
		"self-signed for a subject":   {authorization: r.jwt(t, login, console+"/*", map[string]any{"sub": dev}), status: 401, code: reason.InvalidToken, caller: account},
		"proxy wins":                  {proxy: r.id(t, login, nil), authorization: r.id(t, stranger, nil), caller: account},
		"proxy is bad":                {proxy: r.id(t, login, map[string]any{"aud": "x"}), authorization: r.id(t, login, nil), caller: account},
		"proxy is bad, alone":         {proxy: []string{"Bearer x"}, status: 401, code: reason.MalformedToken},
		"session":                     {session: user.UniqueID, caller: mail},
		"session and bearer":          {session: user.UniqueID, authorization: []string{"Bearer x"}, status: 401, code: reason.MalformedToken},
		"session without the role":    {session: eve.UniqueID, status: 403, code: reason.MissingRole, caller: "user:eve@example.com"},
		"session of nobody":           {session: "1", status: 401, code: reason.NoCredential},
		"before Cloud Run":            {service: "office", authorization: r.jwt(t, grouped, office+"/*", nil), caller: "serviceAccount:" + grouped},
		"agent without the role":      {service: "shut", authorization: r.jwt(t, grouped, "http://127.0.0.1:8081/*", nil), status: 403, code: reason.MissingRole, caller: "serviceAccount:" + grouped},
		"everybody may":               {service: "lobby", open: true},
		"everybody may, signed in":    {service: "lobby", session: user.UniqueID, caller: mail},
		"everybody may, garbage":      {service: "lobby", authorization: []string{"Bearer x"}, status: 401, code: reason.MalformedToken},
	}
}

func (r row) request() iap.Request {
	return iap.Request{
		Request: ingress.Request{Path: "/a", Authorization: r.authorization},
		Proxy:   r.proxy, Session: r.session, FollowsRedirects: r.browser,
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, row := range r.rows(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if row.service == "" {
				row.service = "console"
			}
			door := r.door(t, row.service)
			verdict := iap.Decide(row.request(), door)
			got := row
			got.status, got.code, got.open, got.caller = 0, "", false, verdict.Caller.Member()
			if refusal := verdict.Refusal; refusal != nil {
				got.status, got.code = refusal.Status, refusal.Reason.Code
				if reason := refusal.Reason; reason.Sentence == "" || reason.Hint == "" || refusal.Body == "" {
					t.Errorf("the reason is %+v", reason)
				}
			} else {
				got.open = r.fields(t, verdict, door)["X-Goog-Iap-Jwt-Assertion"] == ""
			}
			if verdict.SignsIn != (row.status == 302) {
				t.Errorf("it signs in: %t", verdict.SignsIn)
			}
			if diff := cmp.Diff(row, got, cmp.AllowUnexported(row)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func (r *rig) fields(t *testing.T, verdict iap.Verdict, door ingress.Door) map[string]string {
	t.Helper()
	fields, err := verdict.Fields(t.Context(), r.Issuer, door)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]string{}
	for _, field := range fields {
		byName[field.Name] = field.Value
	}
	return byName
}

// The service gets the claims that a recorded assertion has.
func TestAssertion(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	user, _ := r.world.User(dev)
	door := r.door(t, "console")
	fields := r.fields(t, iap.Decide(iap.Request{Session: user.UniqueID}, door), door)
	issued := float64(r.now.Unix())
	want := map[string]any{
		"aud": backend, "azp": backend, "email": dev, "exp": issued + 600, "hd": "example.com", "iat": issued, "identity_source": "GOOGLE",
		"iss": "https://cloud.google.com/iap", "sub": "accounts.google.com:" + user.UniqueID,
	}
	if diff := cmp.Diff(want, claimsOf(t, fields["X-Goog-Iap-Jwt-Assertion"])); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if fields["X-Goog-Authenticated-User-Email"] != "accounts.google.com:"+dev || fields["X-Goog-Authenticated-User-Id"] != "accounts.google.com:"+user.UniqueID {
		t.Errorf("fields: %v", fields)
	}
	if _, err := r.Verify(t.Context(), r.world, fields["X-Goog-Iap-Jwt-Assertion"], token.Demand{Audience: backend, Email: dev}); err != nil {
		t.Error(err)
	}
}

// claimsOf returns the claims of a JWT, with numbers as float64.
func claimsOf(t *testing.T, text string) map[string]any {
	t.Helper()
	parsed, err := signer.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"iat", "exp"} {
		if at, ok := parsed.Time(name); ok {
			parsed.Claims[name] = float64(at.Unix())
		}
	}
	return parsed.Claims
}

// Cloud Run sees the proxy's service agent, and never the token of the caller.
func TestAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	door := r.door(t, "office")
	request := iap.Request{Request: ingress.Request{Authorization: r.jwt(t, grouped, office+"/*", nil)}}
	fields := r.fields(t, iap.Decide(request, door), door)
	text, ok := strings.CutPrefix(fields["X-Serverless-Authorization"], "bearer ")
	if !ok || !strings.HasSuffix(text, ".SIGNATURE_REMOVED_BY_GOOGLE") {
		t.Fatalf("the fields are %v", fields)
	}
	claims := claimsOf(t, text)
	path := "/projects/123456789012/locations/us-central1/services/office"
	if claims["email"] != "service-123456789012@gcp-sa-iap.iam.gserviceaccount.com" || claims["aud"] != path {
		t.Errorf("the agent's claims are %v", claims)
	}
	if got := claimsOf(t, fields["X-Goog-Iap-Jwt-Assertion"]); got["aud"] != path || got["hd"] != nil || got["email"] != grouped {
		t.Errorf("the assertion's claims are %v", got)
	}
}

// Every test of a service's checks makes an assertion that is wrong in one way.
func TestSecureTokenTests(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	user, _ := r.world.User(dev)
	door := r.door(t, "console")
	for test := range iap.Tests() {
		fields := r.fields(t, iap.Decide(iap.Request{Session: user.UniqueID, Test: test}, door), door)
		_, err := r.Verify(t.Context(), r.world, fields["X-Goog-Iap-Jwt-Assertion"], token.Demand{Audience: backend})
		if (err == nil) != (test == "NOT_SET") {
			t.Errorf("%s: %v", test, err)
		}
	}
}

// A role on a condition is a role for as long as the condition holds.
func TestConditions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	door := r.door(t, "console")
	door.World = door.World.WithPolicy(door.Service, iam.NewPolicy([]iam.Binding{{
		Role: "roles/iap.httpsResourceAccessor", Members: []string{"user:" + dev},
		Condition: &iam.Condition{Title: "until one", Expression: `request.time < timestamp("2026-11-21T12:30:00Z")`},
	}}))
	user, _ := r.world.User(dev)
	if refusal := iap.Decide(iap.Request{Session: user.UniqueID}, door).Refusal; refusal != nil {
		t.Errorf("while the condition holds: %+v", refusal.Reason)
	}
	door.Now = r.now.Add(30 * time.Minute)
	if refusal := iap.Decide(iap.Request{Session: user.UniqueID}, door).Refusal; refusal == nil || refusal.Status != 403 {
		t.Error("the role outlives its condition")
	}
}

// FuzzDecide checks that nobody is let in but with a token that Verify takes for the caller's.
func FuzzDecide(f *testing.F) {
	r := newRig(f)
	good := r.id(f, login, nil)[0]
	for _, header := range []string{
		"", "Bearer", "bearer " + good, good, good + "," + good, r.id(f, stranger, nil)[0], r.mint(f, login, token.Order{Kind: token.KindAccess})[0],
		r.jwt(f, login, console+"/*", nil)[0], r.jwt(f, login, console, nil)[0], "Bearer a.b.c", "Bearer e30.e30.e30", "Basic " + good,
	} {
		f.Add(header, "", "/a", "")
		f.Add("", header, "/", "ISSUER")
		f.Add(header, header, "/healthz", "x")
	}
	door := r.door(f, "console")
	f.Fuzz(func(t *testing.T, authorization, proxy, path, test string) {
		request := iap.Request{Request: ingress.Request{Path: path}, Test: test}
		if authorization != "" {
			request.Authorization = []string{authorization}
		}
		if proxy != "" {
			request.Proxy = []string{proxy}
		}
		verdict := iap.Decide(request, door)
		if verdict.Refusal != nil {
			if verdict.Refusal.Status < 401 || verdict.Refusal.Status > 404 || verdict.Refusal.Reason.Sentence == "" {
				t.Fatalf("it is refused with %+v", verdict.Refusal)
			}
			return
		}
		for _, header := range []string{authorization, proxy} {
			_, text, _ := strings.Cut(strings.TrimSpace(header), " ")
			verified, err := r.Verify(t.Context(), r.world, strings.TrimSpace(text), token.Demand{})
			if err == nil && verified.Principal.Member() == verdict.Caller.Member() {
				return
			}
		}
		t.Fatalf("%q, %q: let in as %q without a token", authorization, proxy, verdict.Caller.Member())
	})
}

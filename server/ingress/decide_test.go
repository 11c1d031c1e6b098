package ingress_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

	profiles  = "https://user-profiles-123456789012.europe-west1.run.app"
	gcloud    = "32555940559.apps.googleusercontent.com"
	anybody   = "https://anybody-123456789012.us-central1.run.app"
	resize    = "https://us-central1-demo-project.cloudfunctions.net/resize"
	challenge = `Bearer error="invalid_token" error_description="The access token could not be verified"`
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

// id mints an ID token with claims over those that it would have.
func (r *rig) id(t testing.TB, who, audience string, claims map[string]any) string {
	t.Helper()
	return r.mint(t, who, token.Order{Kind: token.KindID, Audience: audience, Claims: claims})
}

func (r *rig) mint(t testing.TB, who string, order token.Order) string {
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
	return minted.Text
}

// row is a row of the tables of facts about Cloud Run: what is presented to which service, and what
// comes of it.
type row struct {
	service    string
	header     []string // values of Authorization
	serverless []string
	path       string
	internal   bool

	status int // 0: let in
	code   reason.Code
	caller string
	passed []ingress.Field
}

func (r *rig) rows(t *testing.T) map[string]row {
	t.Helper()
	bearer := func(text string) []string { return []string{"Bearer " + text} }
	good := r.id(t, login, profiles, nil)
	foreign := token.NewIssuer(worldtest.Ring(time.Now), func() time.Time { return r.now })
	stolen, err := foreign.ID(t.Context(), token.Claims{Audience: profiles, Subject: "1", Email: login})
	if err != nil {
		t.Fatal(err)
	}
	account := "serviceAccount:" + login
	byGcloud := r.id(t, dev, gcloud, nil)
	ofFirebase, err := r.Mint(t.Context(), r.world, token.Order{Kind: token.KindFirebase, User: "u1", Project: profiles})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]row{
		// 1.1
		"no credential":            {status: 403, code: reason.NoCredential},
		"empty header":             {header: []string{""}, status: 403, code: reason.NoCredential},
		"garbage":                  {header: bearer("garbage"), status: 401, code: reason.InvalidToken},
		"access token":             {header: bearer(r.mint(t, login, token.Order{Kind: token.KindAccess})), status: 401, code: reason.AccessToken, caller: account},
		"unknown access token":     {header: bearer("ya29.c.unknown"), status: 401, code: reason.AccessToken},
		"wrong audience":           {header: bearer(r.id(t, login, "https://other.example.com", nil)), status: 401, code: reason.WrongAudience, caller: account},
		"nobody's audience":        {header: bearer(r.id(t, login, token.WrongAudienceURL, nil)), status: 401, code: reason.WrongAudience, caller: account},
		"audience with a query":    {header: bearer(r.id(t, login, profiles+"/?a=b", nil)), status: 401, code: reason.WrongAudience, caller: account},
		"audience with a fragment": {header: bearer(r.id(t, login, profiles+"#f", nil)), status: 401, code: reason.WrongAudience, caller: account},
		"expired":                  {header: bearer(r.mint(t, login, token.Order{Kind: token.KindID, Audience: profiles, Defect: token.Expired})), status: 401, code: reason.InvalidToken},
		"bad signature":            {header: bearer(r.mint(t, login, token.Order{Kind: token.KindID, Audience: profiles, Defect: token.Tampered})), status: 401, code: reason.InvalidToken},
		"signed by Google":         {header: bearer(stolen.Text), status: 401, code: reason.RealGoogle},
		"unsigned":                 {header: bearer(r.mint(t, login, token.Order{Kind: token.KindID, Audience: profiles, Defect: token.AlgNone})), status: 401, code: reason.InvalidToken},
		"of Firebase":              {header: bearer(unsignedBy(t, "https://securetoken.google.com/demo-project", profiles)), status: 401, code: reason.Firebase},
		"verified by Firebase":     {header: bearer(ofFirebase.Text), status: 401, code: reason.Firebase},
		"self-signed":              {header: bearer(r.mint(t, login, token.Order{Kind: token.KindJWT, Audience: profiles})), status: 401, code: reason.NotIDToken, caller: account},
		"assertion of IAP":         {header: bearer(r.mint(t, dev, token.Order{Kind: token.KindIAP, Audience: profiles})), status: 401, code: reason.NotIDToken, caller: "user:" + dev},
		"two tokens in a header":   {header: []string{"Bearer " + good + ", Bearer " + good}, status: 401, code: reason.SeveralCredentials},
		"two headers":              {header: []string{"Bearer " + good, "Bearer " + good}, status: 401, code: reason.SeveralCredentials},
		"without the role":         {header: bearer(r.id(t, stranger, profiles, nil)), status: 403, code: reason.MissingRole, caller: "serviceAccount:" + stranger},
		"with the role":            {header: bearer(good), caller: account},
		"through a group":          {header: bearer(r.id(t, grouped, profiles, nil)), caller: "serviceAccount:" + grouped},
		"another scheme":           {header: []string{"Basic dTpw"}, status: 401, code: reason.NotBearer},
		"scheme without a token":   {header: []string{"Bearer "}, status: 401, code: reason.NotBearer},
		"everybody may":            {service: "public"},
		"everybody may, garbage":   {service: "public", header: bearer("garbage")},
		"everybody may, serverless": {
			service: "public", serverless: bearer("a.b.c"),
			passed: []ingress.Field{{Name: "X-Serverless-Authorization", Value: "Bearer a.b.SIGNATURE_REMOVED_BY_GOOGLE"}},
		},
		"the authenticated may":         {service: "anybody", header: bearer(r.id(t, stranger, anybody, nil)), caller: "serviceAccount:" + stranger},
		"the authenticated may, nobody": {service: "anybody", status: 403, code: reason.NoCredential},
		"no check":                      {service: "open"},
		"from outside":                  {service: "inside", status: 404, code: reason.External},
		"from inside":                   {service: "inside", internal: true},
		"reserved path":                 {service: "open", path: "/healthz", status: 404, code: reason.ReservedPath},
		"reserved directory":            {service: "open", path: "/_ah/start", status: 404, code: reason.ReservedPath},
		"nearly reserved":               {service: "open", path: "/healthz/"},
		"nearly reserved, in capitals":  {service: "open", path: "/HEALTHZ"},

		// 1.3
		"scheme in any case": {header: []string{"bearer " + good}, caller: account},
		"serverless": {
			serverless: bearer(good), caller: account,
			passed: []ingress.Field{{Name: "X-Serverless-Authorization", Value: "Bearer " + unsigned(good)}},
		},
		"serverless wins": {
			serverless: bearer(good), header: bearer("for the service"), caller: account,
			passed: []ingress.Field{{Name: "X-Serverless-Authorization", Value: "Bearer " + unsigned(good)}},
		},
		"serverless wins though it is bad": {serverless: bearer("garbage"), header: bearer(good), status: 401, code: reason.InvalidToken},
		"user's token from gcloud": {
			header: bearer(byGcloud), caller: "user:" + dev,
			passed: []ingress.Field{{Name: "Authorization", Value: "Bearer " + unsigned(byGcloud)}},
		},
		"user's token":          {header: bearer(r.id(t, dev, profiles, nil)), caller: "user:" + dev},
		"account's from gcloud": {header: bearer(r.id(t, login, gcloud, nil)), caller: account},

		// 1.4
		"with a slash":          {header: bearer(r.id(t, login, profiles+"/", nil)), caller: account},
		"with a path":           {header: bearer(r.id(t, login, profiles+"/push/handler", nil)), caller: account},
		"host that begins so":   {header: bearer(r.id(t, login, profiles+".evil.example", nil)), status: 401, code: reason.WrongAudience, caller: account},
		"without TLS":           {header: bearer(r.id(t, login, "http"+strings.TrimPrefix(profiles, "https"), nil)), status: 401, code: reason.WrongAudience, caller: account},
		"older URL":             {header: bearer(r.id(t, login, r.urlOf(t, "user-profiles", 1), nil)), caller: account},
		"URL of a tag":          {header: bearer(r.id(t, login, strings.Replace(profiles, "https://", "https://green---", 1), nil)), status: 401, code: reason.WrongAudience, caller: account},
		"custom audience":       {header: bearer(r.id(t, login, "profiles", nil)), caller: account},
		"beginning of a custom": {header: bearer(r.id(t, login, "profile", nil)), status: 401, code: reason.WrongAudience, caller: account},
		"resource":              {header: bearer(r.id(t, login, "/projects/123456789012/locations/europe-west1/services/user-profiles", nil)), caller: account},
		"resource of instances": {header: bearer(r.id(t, login, "/projects/123456789012/locations/europe-west1/instances/user-profiles", nil)), status: 401, code: reason.WrongAudience, caller: account},
		"ADC client":            {header: bearer(r.id(t, login, "764086051850-6qr4p6gpi6hn506pt8ejuq83di341hur.apps.googleusercontent.com", nil)), caller: account},
		"the user's own client": {header: bearer(r.id(t, dev, "123-mine.apps.googleusercontent.com", nil)), status: 401, code: reason.WrongAudience, caller: "user:" + dev},
		"the door's address":    {header: bearer(r.id(t, login, "http://127.0.0.1:8081/x", nil)), caller: account},
		"one of several":        {header: bearer(r.id(t, login, profiles, map[string]any{"aud": []any{"x", profiles}})), caller: account},
		"function":              {service: "resize", header: bearer(r.id(t, login, resize, nil)), caller: account},
		"function's other URL":  {service: "resize", header: bearer(r.id(t, login, "https://resize-123456789012.us-central1.run.app", nil)), caller: account},
		"function without name": {service: "resize", header: bearer(r.id(t, login, strings.TrimSuffix(resize, "/resize"), nil)), status: 401, code: reason.WrongAudience, caller: account},

		// 1.5
		"without e-mail":          {header: bearer(r.id(t, login, profiles, map[string]any{"email": nil, "email_verified": nil})), caller: account},
		"e-mail not verified":     {header: bearer(r.id(t, login, profiles, map[string]any{"email_verified": false})), status: 401, code: reason.InvalidToken},
		"issuer without a scheme": {header: bearer(r.id(t, login, profiles, map[string]any{"iss": "accounts.google.com"})), status: 401, code: reason.InvalidToken},
		"signature removed":       {header: bearer(unsigned(good)), status: 401, code: reason.InvalidToken},
	}
}

func (r *rig) urlOf(t *testing.T, service string, index int) string {
	t.Helper()
	return r.door(t, service).Service.URLs[index]
}

// unsigned is a JWT as a container gets it.
func unsigned(text string) string {
	return text[:strings.LastIndexByte(text, '.')] + ".SIGNATURE_REMOVED_BY_GOOGLE"
}

func unsignedBy(t *testing.T, issuer, audience string) string {
	t.Helper()
	ring := worldtest.Ring(time.Now)
	key, err := ring.System("someone@example.com").Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := signer.JWT(key, map[string]any{"iss": issuer, "aud": audience, "sub": "1", "exp": 4102444800, "iat": 1})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDecide(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, row := range r.rows(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if row.service == "" {
				row.service = "user-profiles"
			}
			if row.path == "" {
				row.path = "/"
			}
			verdict := ingress.Decide(ingress.Request{
				Path: row.path, Authorization: row.header, Serverless: row.serverless, IsInternal: row.internal,
			}, r.door(t, row.service))
			got := row
			got.status, got.code, got.caller, got.passed = 0, "", verdict.Caller.Member(), verdict.Header
			if verdict.Refusal != nil {
				got.status, got.code = verdict.Refusal.Status, verdict.Refusal.Reason.Code
				checkRefusal(t, verdict.Refusal)
			}
			if diff := cmp.Diff(row, got, cmp.AllowUnexported(row)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
				if verdict.Refusal != nil {
					t.Log(verdict.Refusal.Reason)
				}
			}
		})
	}
}

// checkRefusal makes sure that a refusal has the header of its status, and a reason for people.
func checkRefusal(t *testing.T, refusal *ingress.Refusal) {
	t.Helper()
	var challenges []string
	for _, field := range refusal.Header {
		if field.Name == "WWW-Authenticate" {
			challenges = append(challenges, field.Value)
		}
	}
	if refusal.Status == 401 && (len(challenges) != 1 || challenges[0] != challenge) || refusal.Status != 401 && challenges != nil {
		t.Errorf("status %d comes with the challenges %q", refusal.Status, challenges)
	}
	if reason := refusal.Reason; reason.Sentence == "" || reason.Hint == "" || reason.Code == "" || strings.Contains(reason.Sentence, "\n") {
		t.Errorf("the reason is %+v", reason)
	}
	if (refusal.Reason.Missing != nil) != (refusal.Reason.Code == reason.MissingRole) {
		t.Errorf("%q comes with what is missing: %+v", refusal.Reason.Code, refusal.Reason.Missing)
	}
}

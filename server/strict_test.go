package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/signer"
)

// outcome is what a call of an API came to, in the words of either transport.
type outcome struct {
	Status  string // google.rpc.Code
	Message string
	Reason  string // of ErrorInfo
	Detail  map[string]string
}

func email(name string) string { return name + "@demo-project.iam.gserviceaccount.com" }

const (
	denied  = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
	invalid = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid " +
		"authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
	missing = "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid " +
		"authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
)

func refused(permission string) outcome {
	return outcome{
		Status: "PERMISSION_DENIED", Message: "Permission '" + permission + "' denied on resource (or it may not exist).",
		Reason: "IAM_PERMISSION_DENIED", Detail: map[string]string{"permission": permission},
	}
}

// TestStrict asks for access tokens as many callers, in JSON and in gRPC, and expects the
// same of both.
func TestStrict(t *testing.T) {
	t.Parallel()
	e := newEmulatorWith(t, "strict.yaml", func(c *server.Config) { c.Strict = true })
	bearers := e.bearers(t)
	ok, notOurs := outcome{Status: "OK"}, outcome{Status: "UNAUTHENTICATED", Message: invalid}
	tests := []struct {
		name, bearer, account string
		delegates             []string
		want                  outcome
	}{
		{"token creator", "caller", "target", nil, ok},
		{"member of a group", "dev", "target", nil, ok},
		{"federated", "federated", "target", nil, ok},
		{"of another pool", "other-pool", "target", nil, notOurs},
		{"condition", "eve", "target", nil, refused(iam.GetAccessToken)},
		{"only ID tokens", "open", "target", nil, refused(iam.GetAccessToken)},
		{"nobody", "far", "target", nil, refused(iam.GetAccessToken)},
		{"itself", "target", "target", nil, refused(iam.GetAccessToken)},
		{"self-signed JWT", "self-signed", "target", nil, ok},
		{"self-signed JWT for another API", "self-signed-elsewhere", "target", nil, notOurs},
		{"no credential", "", "target", nil, outcome{
			Status: "UNAUTHENTICATED", Message: missing, Reason: "CREDENTIALS_MISSING", Detail: map[string]string{
				"method":  "google.iam.credentials.v1.IAMCredentials.GenerateAccessToken",
				"service": "iamcredentials.googleapis.com",
			},
		}},
		{"unknown credential", "unknown", "target", nil, notOurs},
		{"expired", "expired", "target", nil, notOurs},
		{"disabled account", "off", "target", nil, notOurs},
		{"ID token", "id", "target", nil, notOurs},
		{"too little scope", "drive", "target", nil, outcome{
			Status: "PERMISSION_DENIED", Message: "Request had insufficient authentication scopes.",
			Reason: "ACCESS_TOKEN_SCOPE_INSUFFICIENT", Detail: map[string]string{
				"method":  "google.iam.credentials.v1.IAMCredentials.GenerateAccessToken",
				"service": "iamcredentials.googleapis.com",
			},
		}},
		{"iam scope", "iam-scope", "target", nil, ok},
		{"access boundary", "bounded", "target", nil, refused(iam.GetAccessToken)},
		{"unknown account", "caller", "nobody", nil, outcome{
			Status: "NOT_FOUND", Message: "Not found; Gaia id not found for email " + email("nobody"),
		}},
		{"no chain", "caller", "far", nil, refused(iam.GetAccessToken)},
		{"chain", "caller", "far", []string{"middle", "last"}, ok},
		{"chain by unique ID", "caller", "far", []string{"100000000000000000002", "projects/demo-project/serviceAccounts/" + email("last")}, ok},
		{"malformed link", "caller", "far", []string{"serviceAccounts/" + email("middle")}, outcome{
			Status:  "INVALID_ARGUMENT",
			Message: "Invalid form of account ID serviceAccounts/" + email("middle") + ". Should be [Gaia ID |Email |Unique ID |] of the account",
		}},
		{"chain that skips one", "caller", "far", []string{"last"}, refused(iam.ImplicitDelegation)},
		{"chain that ends early", "caller", "far", []string{"middle"}, refused(iam.GetAccessToken)},
		{"chain in another order", "caller", "far", []string{"last", "middle"}, refused(iam.ImplicitDelegation)},
		{"chain of another", "dev", "far", []string{"middle", "last"}, refused(iam.ImplicitDelegation)},
		{"chain through nobody", "caller", "far", []string{"nobody"}, outcome{
			Status: "NOT_FOUND", Message: "Not found; Gaia id not found for email " + email("nobody"),
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var delegates []string
			for _, delegate := range test.delegates {
				if !strings.ContainsAny(delegate, "/0") {
					delegate = "projects/-/serviceAccounts/" + email(delegate)
				}
				delegates = append(delegates, delegate)
			}
			for transport, call := range map[string]accessTokenCall{"JSON": e.askJSON, "gRPC": e.askGRPC} {
				if diff := cmp.Diff(test.want, call(t, bearers[test.bearer], email(test.account), delegates)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", transport, diff)
				}
			}
		})
	}
}

// A token that the emulator knows to be good no longer is refused without --strict too; what it
// does not know is let through.
func TestGoodNoLonger(t *testing.T) {
	t.Parallel()
	e := newEmulatorWith(t, "strict.yaml", func(*server.Config) {})
	bearers := e.bearers(t)
	if got := post(t, e.server, "/revoke", url.Values{"token": {bearers["caller"]}}); got.Code != http.StatusOK {
		t.Fatalf("revoking: status %d", got.Code)
	}
	good, refused := outcome{Status: "OK"}, outcome{Status: "UNAUTHENTICATED", Message: invalid}
	for transport, call := range map[string]accessTokenCall{"JSON": e.askJSON, "gRPC": e.askGRPC} {
		for name, want := range map[string]outcome{
			"caller": refused, "expired": refused, "dev": good, "unknown": good, "drive": good, "self-signed": good, "self-signed-elsewhere": good,
		} {
			if diff := cmp.Diff(want, call(t, bearers[name], email("target"), nil)); diff != "" {
				t.Errorf("%s in %s (-want +got):\n%s", name, transport, diff)
			}
		}
	}
	if err := e.server.Clock.Advance(time.Hour); err != nil {
		t.Fatal(err)
	}
	ask := func(when string, want map[string]outcome) {
		t.Helper()
		for name, want := range want {
			if diff := cmp.Diff(want, e.askJSON(t, bearers[name], email("target"), nil)); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, when, diff)
			}
		}
	}
	// What a client signs itself it signs by its own clock.
	ask("after an hour", map[string]outcome{"dev": refused, "self-signed": good})
	if err := e.server.Clock.Set(e.server.Clock.Now().Add(-24 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	// A client that keeps its token renews it by its own clock, whatever was done to the emulator's.
	ask("a day before", map[string]outcome{"dev": good, "self-signed": good})
}

type accessTokenCall func(t *testing.T, bearer, account string, delegates []string) outcome

// bearers are credentials by name; the empty one is none.
func (e *emulator) bearers(t *testing.T) map[string]string {
	t.Helper()
	now, _ := time.Parse(time.RFC3339, wireNow)
	issuer := token.NewIssuer(e.ring, func() time.Time { return now })
	earlier := token.NewIssuer(e.ring, func() time.Time { return now.Add(-time.Hour) })
	mint := func(issuer *token.Issuer, grant token.Grant) string {
		return must[token.Token](t)(issuer.Access(t.Context(), grant, time.Hour)).Text
	}
	bearers := map[string]string{"unknown": "ya29.c.AAAA"}
	for _, account := range e.world.Accounts {
		name, _, _ := strings.Cut(account.Email, "@")
		bearers[name] = mint(issuer, token.ForAccount(account, []string{platform}))
	}
	for _, user := range e.world.Users {
		name, _, _ := strings.Cut(user.Email, "@")
		bearers[name] = mint(issuer, token.Grant{Principal: user.Principal(), Scopes: []string{platform}})
	}
	caller, _ := e.world.Account(email("caller"))
	bearers["expired"] = mint(earlier, token.ForAccount(caller, []string{platform}))
	bearers["drive"] = mint(issuer, token.ForAccount(caller, []string{"https://www.googleapis.com/auth/drive"}))
	bearers["iam-scope"] = mint(issuer, token.ForAccount(caller, []string{"https://www.googleapis.com/auth/iam"}))
	bounded := token.ForAccount(caller, []string{platform})
	bounded.Boundary = json.RawMessage(`{"accessBoundaryRules":[]}`)
	bearers["bounded"] = mint(issuer, bounded)
	for name, pool := range map[string]string{"federated": e.world.Pools[0].Name, "other-pool": "projects/1/locations/global/workloadIdentityPools/x"} {
		bearers[name] = mint(issuer, token.Grant{
			Principal: iam.Principal{Kind: iam.KindFederated, ID: "s", Pool: pool}, Scopes: []string{platform},
		})
	}
	bearers["id"] = must[token.Token](t)(issuer.ID(t.Context(), token.Claims{Audience: "https://iamcredentials.googleapis.com/"})).Text
	key, err := e.ring.User(caller.Email, caller.UniqueID).Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, audience := range map[string]string{
		"self-signed": "https://iamcredentials.googleapis.com/", "self-signed-elsewhere": "https://storage.googleapis.com/",
	} {
		bearers[name] = must[string](t)(signer.JWT(key, map[string]any{
			"iss": caller.Email, "sub": caller.Email, "aud": audience, "iat": now.Unix(), "exp": now.Unix() + 3600,
		}))
	}
	return bearers
}

// askJSON calls GenerateAccessToken over HTTP.
func (e *emulator) askJSON(t *testing.T, bearer, account string, delegates []string) outcome {
	t.Helper()
	body, err := json.Marshal(map[string]any{"scope": []string{platform}, "delegates": delegates})
	if err != nil {
		t.Fatal(err)
	}
	target := e.URL + "/v1/projects/-/serviceAccounts/" + account + ":generateAccessToken"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == http.StatusOK {
		return outcome{Status: "OK"}
	}
	var failure struct {
		Error struct {
			Message string `json:"message"`
			Status  string `json:"status"`
			Details []struct {
				Reason   string            `json:"reason"`
				Metadata map[string]string `json:"metadata"`
			} `json:"details"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer, &failure); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	got := outcome{Status: failure.Error.Status, Message: failure.Error.Message}
	for _, detail := range failure.Error.Details {
		got.Reason, got.Detail = detail.Reason, detail.Metadata
	}
	return got
}

func (e *emulator) dialGRPC(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(e.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// askGRPC calls GenerateAccessToken in gRPC.
func (e *emulator) askGRPC(t *testing.T, bearer, account string, delegates []string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if bearer != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+bearer)
	}
	_, err := credentialspb.NewIAMCredentialsClient(e.dialGRPC(t)).GenerateAccessToken(ctx, &credentialspb.GenerateAccessTokenRequest{
		Name: "projects/-/serviceAccounts/" + account, Scope: []string{platform}, Delegates: delegates,
	})
	got := outcome{Status: codeName(status.Code(err))}
	if err != nil {
		got.Message = status.Convert(err).Message()
		for _, detail := range status.Convert(err).Details() {
			if info, ok := detail.(*errdetails.ErrorInfo); ok {
				got.Reason, got.Detail = info.GetReason(), info.GetMetadata()
			}
		}
	}
	return got
}

// codeName is a code as google.rpc.Code names it: PERMISSION_DENIED for PermissionDenied.
func codeName(code codes.Code) string {
	var out strings.Builder
	for i, letter := range code.String() {
		if i > 0 && unicode.IsUpper(letter) && code != codes.OK {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToUpper(letter))
	}
	return out.String()
}

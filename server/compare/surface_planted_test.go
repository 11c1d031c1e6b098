package compare_test

import (
	"encoding/base64"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/script"
)

// in plants a mistake in the body of the answers to requests with a text.
func in(text string, change func(body string) string) func(string, *script.Answer) {
	return func(request string, a *script.Answer) {
		if strings.Contains(request, text) {
			setBody(a, change(a.Body))
		}
	}
}

// replacing replaces an expression in a body.
func replacing(expression, by string) func(string) string {
	return func(body string) string { return regexp.MustCompile(expression).ReplaceAllString(body, by) }
}

// without removes a header field from all answers.
func without(name string) func(string, *script.Answer) {
	return func(_ string, a *script.Answer) { remove(a, name) }
}

// with sets a header field that answers have.
func with(name, value string) func(string, *script.Answer) {
	return func(_ string, a *script.Answer) { set(a, name, value) }
}

// answering plants another status in the answers to requests with a text.
func answering(text string, status int) func(string, *script.Answer) {
	return func(request string, a *script.Answer) {
		if strings.Contains(request, text) {
			a.Status = status
		}
	}
}

// claims replaces an expression in a part of each JWT of a body, if its claims have a text.
func claims(part int, having, expression, by string) func(string, *script.Answer) {
	jwt := regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)
	return func(_ string, a *script.Answer) {
		setBody(a, jwt.ReplaceAllStringFunc(a.Body, func(text string) string {
			parts := strings.Split(text, ".")
			if claims, _ := base64.RawURLEncoding.DecodeString(parts[1]); strings.Contains(string(claims), having) {
				members, _ := base64.RawURLEncoding.DecodeString(parts[part])
				parts[part] = base64.RawURLEncoding.EncodeToString([]byte(replacing(expression, by)(string(members))))
			}
			return strings.Join(parts, ".")
		}))
	}
}

// assertionOf reports whether a request has an assertion with a text in its claims.
func assertionOf(request, text string) bool {
	_, assertion, found := strings.Cut(request, "&assertion=")
	parts := strings.Split(assertion, ".")
	if !found || len(parts) != 3 {
		return false
	}
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	return strings.Contains(string(claims), text)
}

func inSurfaces() map[string][]plant {
	return map[string][]plant{
		"tokens": {
			{"another error code", nil, in("grant_type=magic", replacing("unsupported_grant_type", "invalid_grant_type")), []shown{{compare.Body, "invalid_grant_type"}}},
			{"no description", nil, func(_ string, a *script.Answer) {
				if strings.Contains(a.Body, "Invalid JWT Signature") {
					setBody(a, replacing(`,\s*"error_description": "[^"]*"`, "")(a.Body))
				}
			}, []shown{{compare.Body, "oauth2.token other-key"}}},
			{"a longer lifetime", nil, in("POST ", replacing(`"expires_in": 3599`, `"expires_in": 3600`)), []shown{{compare.Body, `"expires_in": 3600`}}},
			{"no key ID", nil, claims(0, "my-service", `"kid":"[^"]*",`, ""), []shown{{compare.IdentityForm, "header kid: "}}},
			{"another azp", nil, claims(1, "my-service", `"azp":"[^"]*"`, `"azp":"1"`), []shown{{compare.IdentityForm, "claim azp: decimal"}}},
			{"no Cache-Control", nil, without("Cache-Control"), []shown{{compare.ExtraField, "Cache-Control"}}},
			{"another type", nil, with("Content-Type", "application/json"), []shown{{compare.FieldValue, "Content-Type: application/json"}}},
			{"any audience", nil, func(request string, a *script.Answer) {
				if assertionOf(request, "https://token.invalid/") {
					a.Status = 200
				}
			}, []shown{{compare.Status, "oauth2.token aud-wrong"}}},
			{"a list for a string", nil, in("GET /tokeninfo?access_token=ya29", replacing(`"scope": ("[^"]*")`, `"scope": [$1]`)), []shown{{compare.Body, `"scope": [`}}},
			{"a string for a number", nil, in("GET /oauth2/v1/tokeninfo", replacing(`"expires_in": ([0-9]+)`, `"expires_in": "$1"`)), []shown{{compare.Body, "/oauth2/v1/tokeninfo"}}},
			{"200 with an error", nil, answering("id_token=a.b.c", 200), []shown{{compare.Status, "id_token=a.b.c"}}},
			{"one field for three", nil, func(_ string, a *script.Answer) {
				if _, has := a.Header("Vary"); has {
					remove(a, "Vary")
					a.Headers = append(a.Headers, "Vary: Origin, X-Origin, Referer")
				}
			}, []shown{{compare.FieldValue, "Vary: Origin, "}, {compare.FieldOrder, "date, content-length, vary | content-type, expires, "}}},
		},
		"iamcredentials": {
			{"another error code", nil, in(`"lifetime":"0s"`, replacing("INVALID_ARGUMENT", "FAILED_PRECONDITION")), []shown{{compare.Body, "FAILED_PRECONDITION"}}},
			{"no details", nil, in(`,"x":1}`, replacing(`(?s),\s*"details": \[.*\]`, "")), []shown{{compare.Body, "unknown-field"}}},
			{"another end", nil, in(`"lifetime":"300s"`, func(body string) string {
				return replacing(`20[0-9-]+T[0-9:]+Z`, time.Now().UTC().Add(2*time.Hour).Format(time.RFC3339))(body)
			}), []shown{{compare.Body, "120 MINUTES"}}},
			{"no key ID", nil, in(`"payload":"aGVsbG8="}`, replacing(`\s*"keyId": "[^"]*",`, "")), []shown{{compare.Body, "signBlob plain"}}},
			{"no key ID in a JWT", nil, claims(0, `{"sub":"x"}`, `"kid":"[^"]*",`, ""), []shown{{compare.IdentityForm, "header kid: "}}},
			{"another audience", nil, claims(1, "service.example.com", `"aud":"[^"]*"`, `"aud":"https://x"`), []shown{{compare.IdentityForm, "claim aud: https://x"}}},
			{"a field is missing", nil, without("X-Content-Type-Options"), []shown{{compare.ExtraField, "X-Content-Type-Options"}}},
			{"no challenge", nil, without("WWW-Authenticate"), []shown{{compare.ExtraField, "WWW-Authenticate"}}},
			{"a list for a string", nil, in("prettyPrint=false", replacing(`"accessToken":("[^"]*")`, `"accessToken":[$1]`)), []shown{{compare.Body, "query-noise-2"}}},
			{"200 with an error", nil, answering("/default:generateAccessToken HTTP", 200), []shown{{compare.Status, "account-form"}}},
			{"another type", nil, with("Content-Type", "application/json"), []shown{{compare.FieldValue, "Content-Type: application/json"}}},
			{"another reason", nil, in("generateAccessToken", replacing("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "SCOPE")), []shown{{compare.Behaviour, `reason "SCOPE"`}}},
			{"405 for 404", nil, answering("GET /v1/projects/-/serviceAccounts/"+emulatortest.Worker+":signBlob ", 405), []shown{{compare.Status, ":signBlob"}}},
		},
		"certs": {
			{"no Cache-Control", nil, without("Cache-Control"), []shown{{compare.ExtraField, "Cache-Control"}}},
			{"no key ID", nil, in("GET /oauth2/v3/certs ", replacing(`\s*"kid": "[^"]*",`, "")), []shown{{compare.Body, "/oauth2/v3/certs"}, {compare.Behaviour, "of other keys than"}}},
			{"an expired answer", nil, with("Expires", "Mon, 01 Jan 1990 00:00:00 GMT"), []shown{{compare.FieldValue, "Expires: THE PAST"}}},
			{"another type", nil, with("Content-Type", "text/plain"), []shown{{compare.FieldValue, "Content-Type: text/plain"}}},
			{"a list for a string", nil, in("GET /robot/v1/metadata/x509/worker", replacing(`: ("-----BEGIN[^"]*")`, `: [$1]`)), []shown{{compare.Body, "/robot/v1/metadata/x509"}}},
			{"200 with an error", nil, answering("GET /service_accounts/v1/metadata/jwk/x@y.z", 200), []shown{{compare.Status, "/service_accounts/v1/metadata/jwk/EMAIL-"}}},
			{"another algorithm", nil, in("GET /robot/v1/metadata/jwk/", replacing("RS256", "RS512")), []shown{{compare.Body, "RS512"}}},
			{"an ID that is not the SHA-1", nil, in("GET /oauth2/v1/certs ", replacing(`"[0-9a-f]{4}`, `"0000`)), []shown{{compare.Behaviour, "ID of a certificate: something else"}, {compare.Behaviour, "of other keys than"}}},
			{"the key is not published", nil, in("GET /service_accounts/v1/jwk/worker", replacing(`"n": ".{8}`, `"n": "AAAAAAAA`)), []shown{{compare.Behaviour, "the key of the key file: is not published"}}},
			{"another member", nil, in("GET /service_accounts/v1/metadata/raw/", replacing("keyvalues", "keys")), []shown{{compare.Body, "/metadata/raw/"}}},
			{"a POST is answered", nil, answering("POST /oauth2/v1/certs", 200), []shown{{compare.Status, "keys.certs post: POST /oauth2/v1/certs"}}},
		},
		"sts": {
			{"another error code", nil, in("no-pool", replacing("invalid_target", "invalid_request")), []shown{{compare.Body, "audience-unknown"}}},
			{"no description", nil, in("grant_type=magic", replacing(`,"error_description":"[^"]*"`, "")), []shown{{compare.Body, "grant-type-unknown"}}},
			{"a lifetime", nil, in(`%22accessBoundary%22`, replacing(`}$`, `,"expires_in":3599}`)), []shown{{compare.Body, "downscope-form"}}},
			{"a list for a string", nil, in(`\"accessBoundary\"`, replacing(`"Bearer"`, `["Bearer"]`)), []shown{{compare.Body, "sts.token downscope:"}}},
			{"no Cache-Control", nil, without("Cache-Control"), []shown{{compare.ExtraField, "Cache-Control"}}},
			{"another type", nil, with("Content-Type", "application/json"), []shown{{compare.FieldValue, "Content-Type: application/json"}}},
			{"200 with an error", nil, answering("&options=x", 200), []shown{{compare.Status, "options-text"}}},
			{"any audience", nil, answering("token-exchange&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt", 200), []shown{{compare.Status, "sts.token no-audience:"}}},
			{"JSON with spaces", nil, in("token-type%3Amtls", replacing(`":"`, `": "`)), []shown{{compare.Body, "x509"}}},
			{"405 for 404", nil, answering("GET /v1/token", 405), []shown{{compare.Status, "GET /v1/token"}}},
		},
	}
}

// TestPlantedInSurfaces plants mistakes in public hosts, and expects all of them and nothing else to be found.
func TestPlantedInSurfaces(t *testing.T) {
	t.Parallel()
	planted := inSurfaces()
	for _, surface := range compare.Surfaces() {
		if len(planted[surface.Name]) < 8 {
			t.Errorf("only %d mistakes are planted in %q", len(planted[surface.Name]), surface.Name)
		}
		t.Run(surface.Name, func(t *testing.T) {
			t.Parallel()
			e := emulate(t, publicFixture(impersonates))
			options := surfaceOptions(t, surface, "http://"+spoilt(t, e.Address, planted[surface.Name]))
			report, err := compare.RunSurface(t.Context(), options, surface, accountOf(t, e))
			if err != nil {
				t.Fatal(err)
			}
			checkPlanted(t, planted[surface.Name], report)
		})
	}
}

// A report has no value that a server repeats, in a header field or a body.
func TestSurfacesAreRedacted(t *testing.T) {
	t.Parallel()
	for _, surface := range compare.Surfaces() {
		t.Run(surface.Name, func(t *testing.T) {
			t.Parallel()
			e := emulate(t, publicFixture("[]"))
			account := accountOf(t, e)
			secret := regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+|ya29\.[A-Za-z0-9._-]+`)
			var mu sync.Mutex
			var seen []string
			echo := plant{spoil: func(request string, a *script.Answer) {
				tokens := append(secret.FindAllString(request, -1), secret.FindAllString(a.Body, -1)...)
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, tokens...)
				if _, closes := a.Header("Connection"); a.Status == 200 && !closes {
					a.Headers = append(a.Headers, "X-Echo: "+strings.Join(tokens, ", "))
					return
				}
				setBody(a, a.Body+strings.Join(append(tokens, account.Email, account.UniqueID, account.Project, account.Key.ID(), "as "+account.Email), " "))
			}}
			report, err := compare.RunSurface(t.Context(), surfaceOptions(t, surface, "http://"+spoilt(t, e.Address, []plant{echo})), surface, account)
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			for _, write := range []func() error{
				func() error { return report.WriteTable(&text) }, func() error { return report.WriteJSON(&text) }, func() error { return report.WriteMarkdown(&text) },
			} {
				if err := write(); err != nil {
					t.Fatal(err)
				}
			}
			if len(report.Differences) == 0 {
				t.Error("the server repeats nothing")
			}
			for _, value := range append(seen, account.Email, account.UniqueID, account.Project, account.Key.ID(), "worker", "gserviceaccount") {
				if strings.Contains(text.String(), value) {
					t.Errorf("the report has %q", value)
				}
			}
		})
	}
}

package server_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
)

const accountsPath = "/v1/projects/demo-project/serviceAccounts"

// invoke calls a method of a Google API, such as "GET /v1/projects/p", with a bearer token. The
// status is google.rpc.Code, or "OK" and the answer.
func (e *emulator) invoke(t *testing.T, bearer, call, body string, into any) string {
	t.Helper()
	method, path, _ := strings.Cut(call, " ")
	request, err := http.NewRequestWithContext(t.Context(), method, e.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+bearer)
	request.Header.Set("Content-Type", "application/json")
	response, err := e.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var failure struct {
		Error struct{ Status string } `json:"error"`
	}
	if response.StatusCode != http.StatusOK {
		into = &failure
	}
	if into != nil {
		if err := json.Unmarshal(content, into); err != nil {
			t.Fatalf("%s: %v\n%s", call, err, content)
		}
	}
	if response.StatusCode != http.StatusOK {
		return failure.Error.Status
	}
	return "OK"
}

// do is invoke for what has to succeed.
func (e *emulator) do(t *testing.T, call, body string) map[string]any {
	t.Helper()
	var answer map[string]any
	if status := e.invoke(t, "ya29.x", call, body, &answer); status != "OK" {
		t.Fatalf("%s: %s", call, status)
	}
	return answer
}

// keyFile is what a client library reads of one.
type keyFile struct {
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	ClientEmail  string `json:"client_email"`
	TokenURI     string `json:"token_uri"`
}

func (e *emulator) createKey(t *testing.T, account string) keyFile {
	t.Helper()
	var file keyFile
	created := e.do(t, "POST "+accountsPath+"/"+account+"/keys", `{"keyAlgorithm":"KEY_ALG_RSA_1024"}`)
	text, _ := created["privateKeyData"].(string)
	content, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(content, &file)
	}
	if err != nil || file.ClientEmail != account || file.TokenURI != e.URL+"/token" {
		t.Fatalf("key file %+v: %v", file, err)
	}
	return file
}

// works tells whether the token endpoint takes an assertion that is signed with a key file.
func (e *emulator) works(t *testing.T, file keyFile) bool {
	t.Helper()
	return e.worksAt(t, file, wireNowUnix)
}

func (e *emulator) worksAt(t *testing.T, file keyFile, now int64) bool {
	t.Helper()
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"},
		"assertion": {signedWith(t, file.PrivateKey, map[string]any{
			"iss": file.ClientEmail, "scope": platform, "aud": file.TokenURI, "iat": now, "exp": now + 60,
		})},
	}
	response, err := e.Client().PostForm(e.URL+"/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// signedWith signs a JWT as a client does that has nothing but a key file.
func signedWith(t *testing.T, pemKey string, claims map[string]any) string {
	t.Helper()
	block, _ := pem.Decode([]byte(pemKey))
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(payload)
	digest := sha256.Sum256([]byte(input))
	key, _ := parsed.(*rsa.PrivateKey)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + encode(signature)
}

func kids(v verifier) []string {
	var ids []string
	for id := range v {
		ids = append(ids, id)
	}
	return ids
}

// A key file works from when its key is created until it is disabled or deleted, and so long
// the key is published.
func TestKeyLifecycle(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	account := email("target")
	file := e.createKey(t, account)
	key := accountsPath + "/" + account + "/keys/" + file.PrivateKeyID
	for _, step := range []struct {
		call  string
		works bool
	}{
		{"", true},
		{"POST " + key + ":disable", false},
		{"POST " + key + ":enable", true},
		{"DELETE " + key, false},
	} {
		if step.call != "" {
			e.do(t, step.call, "")
		}
		if got := e.works(t, file); got != step.works {
			t.Errorf("after %s: the key file works: %t, want %t", step.call, got, step.works)
		}
		for _, published := range []verifier{
			e.jwks(t, "/service_accounts/v1/jwk/"+account), e.certificates(t, "/robot/v1/metadata/x509/"+account),
		} {
			if got := slices.Contains(kids(published), file.PrivateKeyID); got != step.works {
				t.Errorf("after %s: the key is published: %t, want %t", step.call, got, step.works)
			}
		}
	}
	if status := e.invoke(t, "x", "POST "+key+":enable", "{}", nil); status != "NOT_FOUND" {
		t.Errorf("a deleted key is enabled: %s", status)
	}
}

// An uploaded key is as good as one that was created, with a certificate or without.
func TestUploadedKey(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	private := must[*keys.Key](t)(keys.NewRing("", time.Now).User("x@y.z", "1").Active(t.Context()))
	text := must[string](t)(private.PrivateKey())
	for account, public := range map[string]string{"target": private.Certificate(), "worker": private.PublicKey()} {
		file := keyFile{PrivateKey: text, ClientEmail: email(account), TokenURI: e.URL + "/token"}
		if e.works(t, file) {
			t.Errorf("%s: the key works before it is uploaded", account)
		}
		uploaded := e.do(t, "POST "+accountsPath+"/"+email(account)+"/keys:upload",
			`{"publicKeyData":"`+base64.StdEncoding.EncodeToString([]byte(public))+`"}`)
		if !e.works(t, file) {
			t.Errorf("%s: the uploaded key does not work", account)
		}
		name, _ := uploaded["name"].(string)
		e.do(t, "DELETE /v1/"+name, "")
		if e.works(t, file) {
			t.Errorf("%s: the key works after it was deleted", account)
		}
	}
}

func TestKeyLimits(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	keys := accountsPath + "/" + email("target") + "/keys"
	var group sync.WaitGroup
	var created atomic.Int64
	for range 14 {
		group.Go(func() {
			if e.invoke(t, "x", "POST "+keys, `{"keyAlgorithm":"KEY_ALG_RSA_1024"}`, nil) == "OK" {
				created.Add(1)
			}
		})
	}
	group.Wait()
	if created.Load() != 10 {
		t.Errorf("of fourteen calls at once %d have made a key", created.Load())
	}
	if status := e.invoke(t, "x", "POST "+keys, "{}", nil); status != "RESOURCE_EXHAUSTED" {
		t.Errorf("an eleventh key: %s", status)
	}
	var list struct {
		Keys []struct{ Name, KeyType string }
	}
	if status := e.invoke(t, "x", "GET "+keys+"?keyTypes=SYSTEM_MANAGED", "", &list); status != "OK" || len(list.Keys) != 1 {
		t.Fatalf("%s, system-managed keys: %+v", status, list)
	}
	name := "/v1/" + list.Keys[0].Name
	for _, call := range []string{"DELETE " + name, "POST " + name + ":disable"} {
		if status := e.invoke(t, "x", call, "", nil); status != "FAILED_PRECONDITION" {
			t.Errorf("%s of a system-managed key: %s", call, status)
		}
	}
}

// What belongs to a deleted account is worth nothing, neither after it was deleted nor to
// another one of the same name; when it is brought back everything is as it was.
func TestAccountLifecycle(t *testing.T) {
	t.Parallel()
	e := newEmulatorWith(t, "strict.yaml", func(c *server.Config) { c.Strict = true })
	bearers := e.bearers(t)
	e.setProjectRole(t, bearers, "roles/editor", "caller")
	ask := func(method, path, body string) string {
		t.Helper()
		return e.invoke(t, bearers["caller"], method+" "+accountsPath+path, body, nil)
	}
	expect := func(want, got string) {
		t.Helper()
		if got != want {
			t.Errorf("status %s, want %s", got, want)
		}
	}
	spends := func() string {
		t.Helper()
		return e.invoke(t, bearers["target"], "POST /v1/projects/demo-project:testIamPermissions", "{}", nil)
	}
	target, id := "/"+email("target"), "/100000000000000000004"
	expect("OK", spends())
	expect("OK", ask(http.MethodPost, target+":disable", ""))
	expect("UNAUTHENTICATED", spends())
	expect("OK", ask(http.MethodPost, id+":enable", ""))
	expect("OK", spends())
	expect("OK", ask(http.MethodDelete, target, ""))
	expect("UNAUTHENTICATED", spends())
	expect("NOT_FOUND", ask(http.MethodGet, target, ""))
	expect("OK", ask(http.MethodPost, "", `{"accountId":"target"}`))
	expect("ALREADY_EXISTS", ask(http.MethodPost, "", `{"accountId":"target"}`))
	expect("UNAUTHENTICATED", spends())
	expect("FAILED_PRECONDITION", ask(http.MethodPost, id+":undelete", ""))
	expect("OK", ask(http.MethodDelete, target, ""))
	expect("OK", ask(http.MethodPost, id+":undelete", ""))
	expect("OK", spends())
}

// An account of the same name as an earlier one does not have its keys.
func TestRecreatedAccountHasNoKeys(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	file := e.createKey(t, email("target"))
	e.do(t, "DELETE "+accountsPath+"/"+email("target"), "")
	e.do(t, "POST "+accountsPath, `{"accountId":"target"}`)
	if e.works(t, file) {
		t.Error("the deleted account's key works")
	}
	if fresh := e.createKey(t, email("target")); !e.works(t, fresh) {
		t.Error("the new account's key does not work")
	}
}

// The key file that the control plane gives out is one that works.
func TestCredentialsHaveGoodKey(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	account := email("target")
	given := func() keyFile {
		var file keyFile
		e.callJSON(t, http.MethodGet, "/emulator/v1/credentials/service-account?account="+account, "", &file)
		return file
	}
	for _, change := range []string{"POST %s:disable", "DELETE %s"} {
		before := given()
		e.do(t, fmt.Sprintf(change, accountsPath+"/"+account+"/keys/"+before.PrivateKeyID), "")
		if after := given(); after.PrivateKeyID == before.PrivateKeyID || !e.works(t, after) {
			t.Errorf("after "+change+" the key file does not work", before.PrivateKeyID)
		}
	}
}

// A key file that was given out works, whatever the time is then.
func TestKeyFileWorksAtEveryTime(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	var given keyFile
	e.callJSON(t, http.MethodGet, "/emulator/v1/credentials/service-account?account="+email("target"), "", &given)
	for _, text := range []string{"2026-11-20T12:00:00Z", "2024-01-01T00:00:00Z", "2031-01-01T00:00:00Z"} {
		now := must[time.Time](t)(time.Parse(time.RFC3339, text))
		e.call(t, http.MethodPut, "/emulator/v1/clock", `{"now":"`+text+`"}`)
		if !e.worksAt(t, given, now.Unix()) {
			t.Errorf("at %s the key file does not work", text)
		}
		if published := kids(e.jwks(t, "/service_accounts/v1/jwk/"+email("target"))); !slices.Contains(published, given.PrivateKeyID) {
			t.Errorf("at %s the key is not among the published %v", text, published)
		}
	}
}

// An account that is brought back has its own keys, and not those of the one that followed it.
func TestUndeletedAccountHasItsOwnKeys(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	own := e.createKey(t, email("target"))
	e.do(t, "DELETE "+accountsPath+"/"+email("target"), "")
	e.do(t, "POST "+accountsPath, `{"accountId":"target"}`)
	follower := e.createKey(t, email("target"))
	e.do(t, "DELETE "+accountsPath+"/"+email("target"), "")
	e.do(t, "POST "+accountsPath+"/100000000000000000003:undelete", "")
	if !e.works(t, own) {
		t.Error("the account's own key does not work")
	}
	if e.works(t, follower) {
		t.Error("another account's key works")
	}
}

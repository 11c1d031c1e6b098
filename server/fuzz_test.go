package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/world"
)

// FuzzRequest sends any request that net/http can read. No request may cause a 5xx, every answer of
// the metadata server must have Metadata-Flavor, and every answer in JSON must be valid JSON.
func FuzzRequest(f *testing.F) {
	const value = "/computeMetadata/v1/instance/attributes/greeting"
	for _, seed := range [][4]string{
		{"GET", value, "", ""},
		{"GET", "/computeMetadata/v1/", "recursive=true&alt=text", "X-Google-Metadata-Request: True"},
		{"HEAD", "//computeMetadata//v1/instance", "alt=json", "X-Forwarded-For: 10.0.0.1"},
		{"GET", value, "wait_for_change=true&last_etag=NONE&timeout_sec=9999999999", ""},
		{"GET", "/computeMetadata/v1/instance/service-accounts/default/identity", "audience=a&format=full&licenses=1", ""},
		{"GET", "/computeMetadata/v1/instance/service-accounts/default/token", "scopes=a,b&enforce_scopes=%zz", ""},
		{"PUT", "/computeMetadata/v1/instance/guest-attributes/a/b", "", "Content-Length: 0"},
		{"DELETE", "/computeMetadata/v1/instance/guest-attributes/%2f/..", ";&=&", ""},
		{"POST", "/token", "grant_type=x", "Content-Type: application/x-www-form-urlencoded"},
		{"POST", "/v1/projects/-/serviceAccounts/a@b:signBlob", "", "Authorization: Bearer x"},
		{"PUT", "/emulator/v1/instances/-/metadata/instance/tags", "", "Origin: null"},
		{"OPTIONS", "*", "", ""},
		{"PATCH", "/", "", "Origin: http://example.com"},
		{"GET", "http://metadata.google.internal/", "", "Host: x"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], "")
	}
	const account, asJSON = "/v1/projects/-/serviceAccounts/worker@demo-project.iam.gserviceaccount.com", "Authorization: Bearer x"
	for path, body := range map[string]string{
		account + ":generateAccessToken":                  `{"scope":["https://www.googleapis.com/auth/cloud-platform"],"lifetime":"300s","delegates":[]}`,
		account + ":generateIdToken":                      `{"audience":"a","includeEmail":"true"}`,
		account + ":signBlob":                             `{"payload":"aGVsbG8="}`,
		account + ":signJwt":                              `{"payload":"{\"exp\":9999999999}"}`,
		account + ":setIamPolicy":                         `{"policy":{"version":3,"etag":"ACAB","bindings":[{"role":"roles/viewer","members":["allUsers"]}]},"updateMask":"bindings"}`,
		account + ":testIamPermissions":                   `{"permissions":["iam.serviceAccounts.get"]}`,
		account + "/keys":                                 `{"keyAlgorithm":"KEY_ALG_RSA_1024"}`,
		account + "/keys:upload":                          `{"publicKeyData":"LS0t"}`,
		"/v1/projects/demo-project/serviceAccounts":       `{"accountId":"fuzzed","serviceAccount":{"displayName":"x"}}`,
		"/emulator/v1/tokens":                             `{"kind":"id","audience":"a","claims":{"exp":1e300}}`,
		"/emulator/v1/tokens:verify":                      `{"token":"a.b.c"}`,
		"/emulator/v1/tokens:principal":                   `{"token":"ya29.c.x","permission":"p","resource":"project"}`,
		"/emulator/v1/faults":                             `{"route":"mds.*","status":503,"times":1,"withHeader":{"X-A":"b"}}`,
		"/emulator/v1/clock:advance":                      `{"duration":"1h"}`,
		"/emulator/v1/instances/-/metadata/instance/tags": `{"value":["a"]}`,
		"/v1/token":                                       `{"grantType":"urn:ietf:params:oauth:grant-type:token-exchange","options":"{}"}`,
		"/v1/projects/demo-project:setIamPolicy":          `{"policy":{"bindings":null}}`,
	} {
		f.Add(http.MethodPost, path, "", asJSON, body)
	}
	fixture, err := fixtures.Load(filepath.Join("testdata", "fixture.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	ring := keys.NewRing("", time.Now)
	if err := ring.Warm(context.Background()); err != nil {
		f.Fatal(err)
	}
	described := world.New(fixture)
	f.Fuzz(func(t *testing.T, method, path, query, header, body string) {
		raw := method + " " + path + "?" + query + " HTTP/1.1\r\nHost: localhost\r\nMetadata-Flavor: Google\r\n" +
			"Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n" + header + "\r\n\r\n" + body
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil || strings.Contains(header, "\n") {
			t.Skip("not a request")
		}
		if strings.Contains(query, "wait_for_change") || strings.HasSuffix(request.URL.Path, "/events") { // nothing will change
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			request = request.WithContext(ctx)
		}
		// Each request gets a new server, so that requests do not make its world larger and larger.
		emulator := server.New(server.Config{World: described, Keys: ring, Clock: clock.New(time.Now), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
		recorder := httptest.NewRecorder()
		emulator.ServeHTTP(recorder, request)
		checkAnswer(t, request, recorder)
	})
}

func checkAnswer(t *testing.T, request *http.Request, recorder *httptest.ResponseRecorder) {
	t.Helper()
	if recorder.Code >= http.StatusInternalServerError {
		t.Errorf("status %d: %s", recorder.Code, recorder.Body)
	}
	isMetadata := request.Host == "localhost" && strings.HasPrefix(request.URL.Path, "/computeMetadata/")
	if isMetadata && recorder.Header().Get("Metadata-Flavor") != "Google" {
		t.Errorf("status %d without Metadata-Flavor", recorder.Code)
	}
	isJSON := recorder.Header().Get("Content-Type") == "application/json"
	if isJSON && !json.Valid(recorder.Body.Bytes()) {
		t.Errorf("the body is not JSON: %s", recorder.Body)
	}
}

package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"google.golang.org/grpc/status"

	"gcp-metadata-emulator/server/emulatortest"
)

// A fault may set any status on any surface. The surface then answers in its dialect, and has words
// for every status.
func TestEveryStatusHasWords(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	client := credentialspb.NewIAMCredentialsClient(e.DialGRPC(t))
	for code := http.StatusMultipleChoices; code < 600; code++ {
		if code == http.StatusNotModified {
			continue // an answer without a body
		}
		e.Faults.Clear()
		e.Fail(t, fmt.Sprintf(`{"route": "*", "status": %d}`, code))
		for _, request := range []string{
			"GET " + emulatortest.AttachedPath + "default/token\nMetadata-Flavor: Google\n\n",
			"GET " + emulatortest.AttachedPath + "default/token\nMetadata-Flavor: Google\nHost: pod\n\n",
			"GET " + emulatortest.AttachedPath + "default/token\nMetadata-Flavor: Google\nHost: service\n\n",
			"POST /token\n\n",
			"GET /device\n\n",
			"GET /tokeninfo\n\n",
			"GET /oauth2/v3/userinfo\n\n",
			"GET /oauth2/v2/userinfo\n\n",
			"GET /oauth2/v3/certs\n\n",
			"POST /v1/token\n\n",
			"POST /v1/projects/-/serviceAccounts/" + emulatortest.Worker + ":signBlob\nAuthorization: Bearer x\n\n{}",
			"GET /v1/projects/demo-project/serviceAccounts\nAuthorization: Bearer x\n\n",
			"GET /compute/v1/projects/demo-project/zones/us-central1-a/instances\nAuthorization: Bearer x\n\n",
			"GET /v3/projects/demo-project\nAuthorization: Bearer x\n\n",
			"GET /nowhere\n\n",
		} {
			got := e.Exchange(t, request)
			if words := wordsOf(got.Body); got.Status != code || strings.TrimSpace(words) == "" {
				t.Errorf("%q under status %d: %d with the words %q in\n%s", request, code, got.Status, words, got.Body)
			}
		}
		if code < http.StatusBadRequest {
			continue // not an error
		}
		_, err := client.SignBlob(context.Background(), &credentialspb.SignBlobRequest{Name: "projects/-/serviceAccounts/" + emulatortest.Worker, Payload: []byte("x")})
		if status.Convert(err).Message() == "" {
			t.Errorf("a call under status %d: %v", code, err)
		}
	}
}

// paragraph matches the message of an error page: the text before its last sentence.
var paragraph = regexp.MustCompile(`(?s)<title>Error \d+ \(.+\)!!1</title>.*\n  <p>([^\n]*)<ins>That’s all we know`)

// wordsOf returns the message of an error in any dialect.
func wordsOf(body string) string {
	if strings.HasPrefix(body, "<!DOCTYPE") {
		if found := paragraph.FindStringSubmatch(body); found != nil {
			return found[1]
		}
		return ""
	}
	if !strings.HasPrefix(body, "{") {
		return body // plain text
	}
	var oauth struct {
		Description string `json:"error_description"`
	}
	if _ = json.Unmarshal([]byte(body), &oauth); oauth.Description != "" {
		return oauth.Description
	}
	var api struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	_ = json.Unmarshal([]byte(body), &api)
	return api.Error.Message
}

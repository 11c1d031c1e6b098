//go:build cluster

package kubernetes_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	provider = "projects/123456789012/locations/global/workloadIdentityPools/fleet/providers/cluster"
	audience = "//iam.googleapis.com/" + provider
	lifetime = 600 // seconds, the shortest that an API server grants
)

// tokens exchanges tokens of the cluster, and returns a token that is good for some minutes.
func (s *scene) tokens() string {
	s.t.Helper()
	s.account("exchanger", "")
	s.account("unbound", "")
	good := s.clusterToken("exchanger", audience)
	s.impersonate(s.federated(good), "OK", "")
	s.impersonate(s.federated(s.clusterToken("unbound", audience)), "PERMISSION_DENIED", "system:serviceaccount:web:unbound")

	s.refused(s.clusterToken("exchanger", "https://elsewhere.example.com"), "invalid_grant",
		"The audience in ID Token [https://elsewhere.example.com] does not match the expected audience.")
	body, signature, _ := strings.Cut(s.clusterToken("unbound", audience), ".")
	_, rest, _ := strings.Cut(good, ".")
	s.refused(body+"."+rest[:strings.LastIndex(rest, ".")]+signature[strings.LastIndex(signature, "."):], "invalid_grant", "Unable to verify the ID Token signature.")
	if err := s.emulator.Clock.Advance(2 * lifetime * time.Second); err != nil {
		s.t.Fatal(err)
	}
	s.refused(good, "invalid_grant", "is stale to sign-in")
	s.emulator.Clock.Reset()

	if err := s.client.CoreV1().ServiceAccounts(namespace).Delete(s.t.Context(), "exchanger", metav1.DeleteOptions{}); err != nil {
		s.t.Fatal(err)
	}
	s.federated(good) // only the keys are asked, as by Google: the token of a removed account is good until it expires
	s.withoutProvider(good)
	return good
}

// withoutProvider checks that the token is refused while its provider is deleted.
func (s *scene) withoutProvider(token string) {
	s.t.Helper()
	path := "/v1/" + strings.Replace(provider, "123456789012", "demo-project", 1)
	s.administer(http.MethodDelete, path)
	s.refused(token, "invalid_target", "deleted")
	s.administer(http.MethodPost, path+":undelete")
	s.federated(token)
}

// administer changes a provider with the token of a pod. The pod's account has the permission.
func (s *scene) administer(method, path string) {
	s.t.Helper()
	var own struct {
		Token string `json:"access_token"`
	}
	if _, body := s.get(s.t.Context(), "127.4.3.2", accountsPath+"default/token"); json.Unmarshal([]byte(body), &own) != nil {
		s.t.Fatalf("the pod's token: %s", body)
	}
	if status := s.emulator.Invoke(s.t, own.Token, method+" "+path, "{}", nil); status != "OK" {
		s.t.Fatalf("%s %s: %s", method, path, status)
	}
}

// clusterToken returns the output of "kubectl create token NAME --audience AUDIENCE".
func (s *scene) clusterToken(name, audience string) string {
	s.t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: new(int64(lifetime))}}
	issued, err := s.client.CoreV1().ServiceAccounts(namespace).CreateToken(s.t.Context(), name, request, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return issued.Status.Token
}

// exchanged is the answer of the token exchange.
type exchanged struct {
	Token       string `json:"access_token"`
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (s *scene) exchange(subject string) exchanged {
	s.t.Helper()
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "requested_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"}, "subject_token": {subject},
		"audience": {audience}, "scope": {"https://www.googleapis.com/auth/cloud-platform"},
	}
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.emulator.URL+"/v1/token", strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var got exchanged
	if err := json.Unmarshal(body, &got); err != nil {
		s.t.Fatalf("%v: %s", err, body)
	}
	return got
}

// federated exchanges a token that must be good, and returns the access token.
func (s *scene) federated(subject string) string {
	s.t.Helper()
	got := s.exchange(subject)
	if got.Token == "" {
		s.t.Fatalf("the exchange is refused: %+v", got)
	}
	return got.Token
}

// refused exchanges a token that must not be good. The answer and the journal say why.
func (s *scene) refused(subject, code, why string) {
	s.t.Helper()
	got := s.exchange(subject)
	if got.Token != "" || got.Code != code || !strings.Contains(got.Description, why) {
		s.t.Errorf("the answer is %+v; want %s, %s", got, code, why)
	}
	seen := s.emulator.Journal.Since(0).Exchanges
	if last := seen[len(seen)-1]; last.Reason == "" || last.Hint == "" {
		s.t.Errorf("the journal has the reason %q and the hint %q for %s", last.Reason, last.Hint, why)
	}
}

// impersonate asks with a federated token for an access token of a Google service account.
func (s *scene) impersonate(federated, want, why string) {
	s.t.Helper()
	var issued struct{ AccessToken string }
	got := s.emulator.Invoke(s.t, federated, "POST /v1/projects/-/serviceAccounts/"+google+":generateAccessToken",
		`{"scope": ["https://www.googleapis.com/auth/cloud-platform"]}`, &issued)
	seen := s.emulator.Journal.Since(0).Exchanges
	last := seen[len(seen)-1]
	if got != want || (issued.AccessToken != "") != (want == "OK") || !strings.Contains(last.Reason, why) {
		s.t.Errorf("generateAccessToken: %s, a token of %d characters, %s; want %s, %s", got, len(issued.AccessToken), last.Reason, want, why)
	}
}

// otherNode checks that only the pods of one node are known.
func (s *scene) otherNode() {
	s.t.Helper()
	elsewhere := func(p *corev1.Pod) { p.Spec.NodeName = "node-2" }
	if err := s.pod(s.t.Context(), "elsewhere", "annotated", "127.4.3.1", elsewhere); err != nil {
		s.t.Fatal(err)
	}
	s.mustPod("here", "annotated", "127.4.3.2") // which is seen after the other one would be
	s.expect("127.4.3.2", google)
	s.expect("127.4.3.1", "")
}

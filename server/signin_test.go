package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
)

// browser is a browser at the door of the service named console.
type browser struct {
	*http.Client

	base string
}

// page is the content of a browser.
type page struct {
	*http.Response

	body string
}

func newBrowser(t *testing.T, base string) browser {
	t.Helper()
	return browser{&http.Client{Jar: emulatortest.Must[*cookiejar.Jar](t)(cookiejar.New(nil))}, base}
}

func (b browser) do(t *testing.T, method, target string, form url.Values) page {
	t.Helper()
	request := emulatortest.Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode())))
	request.Header.Set("Accept", "text/html")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := b.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return page{answer, string(emulatortest.Must[[]byte](t)(io.ReadAll(answer.Body)))}
}

func (b browser) get(t *testing.T, path string) page {
	t.Helper()
	return b.do(t, http.MethodGet, b.base+path, nil)
}

// signIn clicks a button of the page on which people sign in.
func (b browser) signIn(t *testing.T, shown page, button, value string) page {
	t.Helper()
	return b.do(t, http.MethodPost, shown.Request.URL.String(), url.Values{button: {value}})
}

func (b browser) session(t *testing.T) string {
	t.Helper()
	for _, cookie := range b.Jar.Cookies(emulatortest.Must[*url.URL](t)(url.Parse(b.base))) {
		if strings.HasPrefix(cookie.Name, "GCP_IAP_AUTH_TOKEN_") {
			return cookie.Value
		}
	}
	return ""
}

// console serves the door of console at an address of its own.
func console(t *testing.T) (*emulatortest.Emulator, string) {
	t.Helper()
	return consoleOf(t, func(*server.Config) {})
}

// consoleOf is console of an emulator that a function configures.
func consoleOf(t *testing.T, configure func(*server.Config)) (*emulatortest.Emulator, string) {
	t.Helper()
	e := newDoors(t, func(config *server.Config) {
		config.Explain = true
		configure(config)
	})
	listener := emulatortest.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.ServeDoor(ctx, listener, "console") }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return e, "http://" + listener.Addr().String()
}

// A person signs in on the emulator's page, comes back to the page that was wanted, and stays signed in
// for an hour.
func TestSignIn(t *testing.T) {
	t.Parallel()
	e, base := console(t)
	b := newBrowser(t, base)
	b.Jar.SetCookies(emulatortest.Must[*url.URL](t)(url.Parse(base)), []*http.Cookie{{Name: "own", Value: "1"}})
	shown := b.get(t, "//a?b=%2F&c")
	if shown.StatusCode != http.StatusOK || shown.Request.URL.Path != "/_gcp_iap/sign_in" || !strings.Contains(shown.body, "dev@example.com") {
		t.Fatalf("the browser is at %s: %d\n%s", shown.Request.URL, shown.StatusCode, shown.body)
	}
	back := b.signIn(t, shown, "user", "dev@example.com")
	want := "X-Goog-Authenticated-User-Email: accounts.google.com:dev@example.com\n"
	if back.Request.URL.String() != base+"//a?b=%2F&c" || !strings.Contains(back.body, want) || !strings.Contains(back.body, "a JWT") {
		t.Fatalf("the browser is back at %s: %s", back.Request.URL, back.body)
	}
	if !strings.Contains(back.body, "Cookie: own=1\n") {
		t.Errorf("the cookies are wrong: %s", back.body)
	}
	if again := b.get(t, "/"); !strings.Contains(again.body, want) {
		t.Errorf("the session is not kept: %s", again.body)
	}
	user, _ := e.World().State.User("dev@example.com")
	named := `{"email":"accounts.google.com:dev@example.com","sub":"accounts.google.com:` + user.UniqueID + `"}`
	for _, path := range []string{"/_gcp_iap/identity", "/x?gcp-iap-mode=IDENTITY"} {
		if got := b.get(t, path); got.body != named {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
	if got := b.get(t, "/_gcp_iap/session_refresher"); got.StatusCode != http.StatusOK || got.Request.URL.Path != "/_gcp_iap/session_refresher" {
		t.Errorf("the refresher leads to %s", got.Request.URL)
	}
	for _, path := range []string{"/_gcp_iap/do_session_refresh", "/a?gcp-iap-mode=FORCE_LOGIN&x=y"} {
		if got := b.get(t, path); got.Request.URL.Path != "/_gcp_iap/sign_in" {
			t.Errorf("%s leads to %s", path, got.Request.URL)
		}
	}
	forced := b.signIn(t, b.get(t, "/a?gcp-iap-mode=FORCE_LOGIN&x=y"), "user", "eve@example.com")
	if forced.Request.URL.String() != base+"/a?x=y" || forced.StatusCode != http.StatusForbidden || forced.body != "Access denied. For user eve@example.com" {
		t.Errorf("another user is at %s: %s", forced.Request.URL, forced.body)
	}
	e.Clock.Advance(time.Hour)
	if got := b.get(t, "/"); got.Request.URL.Path != "/_gcp_iap/sign_in" {
		t.Errorf("after an hour: %s", got.body)
	}
}

// The session ends if the person asks for it, and belongs to a single service.
func TestEndOfSession(t *testing.T) {
	t.Parallel()
	e, base := console(t)
	b := newBrowser(t, base)
	b.signIn(t, b.get(t, "/"), "user", "dev@example.com")
	if b.session(t) == "" {
		t.Fatal("there is no session")
	}
	other := e.Exchange(t, "GET /\nHost: office-123456789012.us-central1.run.app\nCookie: GCP_IAP_AUTH_TOKEN_0000000000000000="+b.session(t)+"\n\n")
	if other.Status != http.StatusFound {
		t.Errorf("at another service: %d", other.Status)
	}
	for field, status := range map[string]int{"Sec-Fetch-Mode: no-cors": http.StatusForbidden, "Sec-Fetch-User: ?1": http.StatusFound} {
		got := e.Exchange(t, "GET /_gcp_iap/clear_login_cookie\nHost: console-123456789012.us-central1.run.app\nSec-Fetch-Site: cross-site\n"+field+"\n\n")
		if got.Status != status {
			t.Errorf("a page of another site ends the session, %s: %d", field, got.Status)
		}
	}
	b.get(t, "/_gcp_iap/clear_login_cookie")
	if b.session(t) != "" {
		t.Error("the session is still there")
	}
	if got := b.do(t, http.MethodPost, base+"/_gcp_iap/identity", nil); got.StatusCode != http.StatusUnauthorized || got.body != "IDENTITY mode is only available to authenticated users." {
		t.Errorf("who is it? %d %s", got.StatusCode, got.body)
	}
	if got := b.get(t, "/_gcp_iap/other"); got.StatusCode != http.StatusNotFound {
		t.Errorf("another path: %d", got.StatusCode)
	}
}

// No sign-in of another browser, no denied sign-in and no second use of a sign-in leads to a session.
func TestUnfinishedSignIn(t *testing.T) {
	t.Parallel()
	const text = "There was a problem with your request. Please reference https://cloud.google.com/iap/docs/faq#error_codes. Error code 9"
	_, base := console(t)
	b := newBrowser(t, base)
	denied := b.signIn(t, b.get(t, "/"), "deny", "1")
	if reason := denied.Header.Get("X-Emulator-Reason"); denied.StatusCode != http.StatusBadRequest || denied.body != text || !strings.Contains(reason, "access_denied") {
		t.Errorf("denied: %d %s (%s)", denied.StatusCode, denied.body, reason)
	}
	var callback string
	attacker := newBrowser(t, base)
	attacker.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/_gcp_gatekeeper/authenticate" {
			callback = r.URL.RequestURI()
			return http.ErrUseLastResponse
		}
		return nil
	}
	attacker.signIn(t, attacker.get(t, "/"), "user", "dev@example.com")
	for name, path := range map[string]string{"another browser": callback, "no state": "/_gcp_gatekeeper/authenticate?code=4/0x", "a state": "/_gcp_gatekeeper/authenticate?code=x&state=iap-state-AAAA"} {
		if got := b.get(t, path); got.StatusCode != http.StatusBadRequest || got.body != text || b.session(t) != "" {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.body)
		}
	}
	if got := attacker.get(t, callback); got.StatusCode != http.StatusOK || attacker.session(t) == "" {
		t.Errorf("the same browser: %d %s", got.StatusCode, got.body)
	}
	if got := attacker.get(t, callback); got.StatusCode != http.StatusBadRequest {
		t.Errorf("a second time: %d", got.StatusCode)
	}
}

package oauth2_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/oauthapi"
)

// ask requests a device code.
func (r *rig) ask(t testing.TB) answer {
	t.Helper()
	got := serve(t, r.DeviceCode, formRequest("/device/code", values("client_id", "app", "scope", "email "+drive)))
	if got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	return got
}

func poll(deviceCode string, pairs ...string) url.Values {
	return with(values("grant_type", oauthapi.GrantTypeDeviceCode, "client_id", "app", "client_secret", secret, "device_code", deviceCode), pairs...)
}

func (r *rig) expect(t testing.TB, form url.Values, status int, code string) answer {
	t.Helper()
	got := r.token(t, form)
	if got.status != status || got.text("error") != code {
		t.Errorf("%d %s, want %d %q", got.status, got.body, status, code)
	}
	return got
}

func TestDevice(t *testing.T) {
	t.Parallel()
	r := newRig(t, registered)
	asked := r.ask(t)
	form := poll(asked.text("device_code"))
	r.expect(t, form, 428, "authorization_pending")
	r.expect(t, form, 403, "slow_down")
	r.time = r.time.Add(5 * time.Second)
	r.expect(t, form, 428, "authorization_pending")

	page := formRequest("/device?user_code="+asked.text("user_code"), nil)
	page.Method = http.MethodGet
	if got := serve(t, r.Device, page); got.status != http.StatusOK || !strings.Contains(got.body, drive) || !strings.Contains(got.body, "<b>app</b>") {
		t.Errorf("the page does not say who asks for what: %d %s", got.status, got.body)
	}
	typed := " " + strings.ToLower(strings.ReplaceAll(asked.text("user_code"), "-", " "))
	approval := formRequest("/device", values("user_code", typed, "user", "ops@example.com"))
	if got := serve(t, r.Device, approval); got.status != http.StatusOK || !strings.Contains(got.body, "Device connected") {
		t.Fatalf("%d %s", got.status, got.body)
	}
	again := formRequest("/device", values("user_code", asked.text("user_code"), "deny", "1"))
	if got := serve(t, r.Device, again); got.status != http.StatusBadRequest {
		t.Errorf("decided again: %d %s", got.status, got.body)
	}

	// Once the user has consented, the device need not wait for its polling interval.
	got := r.expect(t, form, 200, "")
	if claims(t, got.text("id_token"))["email"] != "ops@example.com" || got.text("refresh_token") == "" || got.text("scope") != emailScope+" "+drive+" openid" {
		t.Errorf("%s", got.body)
	}
	r.expect(t, form, 400, "invalid_grant")
}

func TestDeviceFirstUser(t *testing.T) {
	t.Parallel()
	r := newRig(t, registered)
	asked := r.ask(t)
	serve(t, r.Device, formRequest("/device", values("user_code", asked.text("user_code"))))
	old := poll("", "grant_type", oauthapi.GrantTypeDeviceDraft, "code", asked.text("device_code"))
	got := r.expect(t, old, 200, "")
	if claims(t, got.text("id_token"))["email"] != "dev@example.com" {
		t.Errorf("%s", got.body)
	}
}

func TestRefusedDevices(t *testing.T) {
	t.Parallel()
	r := newRig(t, registered)
	denied := r.ask(t)
	serve(t, r.Device, formRequest("/device", values("user_code", denied.text("user_code"), "deny", "1")))
	r.expect(t, poll(denied.text("device_code")), 403, "access_denied")

	waiting := r.ask(t)
	r.expect(t, poll(waiting.text("device_code"), "client_id", "public"), 400, "invalid_grant")
	r.expect(t, poll(waiting.text("device_code"), "client_secret", "x"), 401, "invalid_client")
	r.expect(t, poll("x"), 400, "invalid_grant")
	r.expect(t, poll(""), 400, "invalid_request")
	r.time = r.time.Add(30 * time.Minute)
	late := formRequest("/device", values("user_code", waiting.text("user_code")))
	if got := serve(t, r.Device, late); got.status != http.StatusBadRequest {
		t.Errorf("let in too late: %d %s", got.status, got.body)
	}
	r.expect(t, poll(waiting.text("device_code")), 400, "expired_token")

	unknown := formRequest("/device/code", values("client_id", "x", "scope", "openid"))
	if got := serve(t, r.DeviceCode, unknown); got.status != http.StatusUnauthorized || got.text("error") != "invalid_client" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Strangers who ask for many codes do not push out a device that polls. Devices that no longer poll
// give way.
func TestDevicesAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, fixture)
	patient, gone := r.ask(t), r.ask(t)
	seen := map[string]bool{}
	for range 1022 {
		seen[r.ask(t).text("user_code")] = true
	}
	if len(seen) != 1022 {
		t.Errorf("%d different codes of 1022", len(seen))
	}
	request := formRequest("/device/code", values("client_id", "app", "scope", drive))
	if got := serve(t, r.DeviceCode, request); got.status != http.StatusForbidden || got.text("error") != "rate_limit_exceeded" {
		t.Errorf("one more: %d %s", got.status, got.body)
	}
	for range 13 {
		r.time = r.time.Add(5 * time.Second)
		r.expect(t, poll(patient.text("device_code")), 428, "authorization_pending")
	}
	r.ask(t)
	r.expect(t, poll(patient.text("device_code")), 403, "slow_down")
	r.expect(t, poll(gone.text("device_code")), 400, "invalid_grant")
}

package oauth2

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
)

// What Google's server tells devices
// (https://developers.google.com/identity/protocols/oauth2/limited-input-device).
const (
	deviceLifetime = 30 * time.Minute
	pollInterval   = 5 * time.Second

	// A poll that comes this much too soon is forgiven: timers and networks are not exact.
	pollTolerance = time.Second
)

const deviceCodePrefix = "AH-1Ng"

// deviceCode is what a device code says. It leads to the device by the code that the user
// sees.
type deviceCode struct {
	UserCode string `json:"user"`
	Expires  int64  `json:"exp"` // Unix seconds
}

// device is one that waits for a user to let it in (RFC 8628).
type device struct {
	client  string
	scopes  []string
	expires time.Time

	decided bool
	userID  string    // unique ID; empty where the user denied
	polled  time.Time // when it asked last
}

// devices are those that wait. Where there are more than maxDevices, the oldest are forgotten.
type devices struct {
	mu         sync.Mutex // guards what is in a device
	byUserCode *lru.Cache[string, *device]
}

const maxDevices = 1 << 10

func newDevices() *devices {
	byUserCode, err := lru.New[string, *device](maxDevices)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &devices{byUserCode: byUserCode}
}

func (d *devices) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.byUserCode.Purge()
}

// find is the device that waits with a code.
func (d *devices) find(userCode string, now time.Time) (*device, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting(userCode, now)
}

// decide lets a user, who has a unique ID, or nobody grant what the device asks for. It tells
// whether the code is that of a device that waits.
func (d *devices) decide(userCode, userID string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	waiting, ok := d.waiting(userCode, now)
	if ok {
		waiting.decided, waiting.userID = true, userID
	}
	return ok
}

// waiting is find for who holds the lock.
func (d *devices) waiting(userCode string, now time.Time) (*device, bool) {
	known, ok := d.byUserCode.Get(userCode)
	return known, ok && !known.decided && now.Before(known.expires)
}

// poll is the device of a code, which is forgotten then, where a user has let it in. Else the
// error says what to do (RFC 8628, section 3.5).
func (d *devices) poll(userCode, client string, now time.Time) (*device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	waiting, ok := d.byUserCode.Get(userCode)
	switch {
	case !ok, waiting.client != client:
		return nil, oauthapi.NewError(oauthapi.InvalidGrant, badRequest)
	case waiting.decided:
		d.byUserCode.Remove(userCode)
		if waiting.userID == "" {
			return nil, oauthapi.Forbidden(oauthapi.AccessDenied)
		}
		return waiting, nil
	}
	last := waiting.polled
	waiting.polled = now
	if now.Sub(last) < pollInterval-pollTolerance {
		return nil, oauthapi.Forbidden(oauthapi.SlowDown)
	}
	return nil, &oauthapi.Error{
		Status: http.StatusPreconditionRequired, Code: oauthapi.AuthorizationPending, Description: "Precondition Required",
	}
}

// deviceAnswer is what a device shows its user, in Google's terms.
type deviceAnswer struct {
	DeviceCode      string `json:"device_code"`
	UserCode        string `json:"user_code"`
	ExpiresIn       int    `json:"expires_in"` // seconds
	Interval        int    `json:"interval"`   // seconds
	VerificationURL string `json:"verification_url"`
}

// DeviceCode begins the authorization of a device (RFC 8628, section 3.1).
func (s *Server) DeviceCode(r *http.Request) (wire.Response, error) {
	form, err := oauthapi.ReadForm(r)
	if err != nil {
		return wire.Response{}, err
	}
	client, err := findClient(s.worlds.Load().State, form.Get("client_id"))
	if err != nil {
		return wire.Response{}, err
	}
	scopes, err := readScopes(form.Get("scope"))
	if err != nil {
		return wire.Response{}, err
	}
	sealer, err := s.issuer.Sealer(deviceCodePrefix)
	if err != nil {
		return wire.Response{}, err
	}
	userCode, expires := newUserCode(), s.now().Add(deviceLifetime)
	text, err := sealer.Seal(deviceCode{UserCode: userCode, Expires: expires.Unix()})
	if err != nil {
		return wire.Response{}, err
	}
	s.devices.byUserCode.Add(userCode, &device{client: client.ID, scopes: scopes, expires: expires})
	return oauthapi.JSON(deviceAnswer{
		DeviceCode:      text,
		UserCode:        userCode,
		ExpiresIn:       int(deviceLifetime / time.Second),
		Interval:        int(pollInterval / time.Second),
		VerificationURL: verificationURL(r),
	}), nil
}

// verificationURL is where the user goes: the page of this server. A client that believes to
// talk to Google is sent to a name that leads here too; Google's page is at www.google.com.
func verificationURL(r *http.Request) string {
	if hostname.IsGoogle(hostname.Of(r.Host)) {
		return "https://accounts.google.com/device"
	}
	return wire.BaseURL(r) + "/device"
}

// The letters of user codes make no words (RFC 8628, section 6.1).
const (
	codeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	codeHalf    = 4
)

// newUserCode is a code such as GQVQ-JKSC.
func newUserCode() string {
	var letters string
	for len(letters) < 2*codeHalf {
		letters += onlyCodeLetters(rand.Text())
	}
	return letters[:codeHalf] + "-" + letters[codeHalf:2*codeHalf]
}

// readUserCode reads a code as people type it; empty where it cannot be one.
func readUserCode(text string) string {
	letters := onlyCodeLetters(strings.ToUpper(text))
	if len(letters) != 2*codeHalf {
		return ""
	}
	return letters[:codeHalf] + "-" + letters[codeHalf:]
}

func onlyCodeLetters(text string) string {
	return strings.Map(func(letter rune) rune {
		if strings.ContainsRune(codeLetters, letter) {
			return letter
		}
		return -1
	}, text)
}

// Device is the page on which a user lets a device in. A program may post to it what the
// page's form would: user_code and, unless it is the first one, user; or deny.
func (s *Server) Device(r *http.Request) (wire.Response, error) {
	if r.Method == http.MethodPost {
		return s.decideDevice(r)
	}
	userCode := r.URL.Query().Get("user_code")
	if userCode == "" {
		return userCodePage(http.StatusOK, ""), nil
	}
	waiting, ok := s.devices.find(readUserCode(userCode), s.now())
	if !ok {
		return noDevice(userCode), nil
	}
	return devicePage(s.worlds.Load().State, waiting, readUserCode(userCode)), nil
}

func noDevice(userCode string) wire.Response {
	return userCodePage(http.StatusBadRequest, "No device waits for the code "+strconv.Quote(userCode)+".")
}

func (s *Server) decideDevice(r *http.Request) (wire.Response, error) {
	form, err := oauthapi.ReadForm(r)
	if err != nil {
		return wire.Response{}, err
	}
	if err := checkOrigin(r); err != nil {
		return wire.Response{}, err
	}
	made, userID := readChoice(form), ""
	if !made.denied {
		user, err := made.user(s.worlds.Load().State, authorization{})
		if refusal, ok := errors.AsType[*oauthapi.Error](err); ok {
			return refusalPage(refusal), nil
		}
		userID = user.UniqueID
	}
	userCode := form.Get("user_code")
	switch {
	case !s.devices.decide(readUserCode(userCode), userID, s.now()):
		return noDevice(userCode), nil
	case made.denied:
		return messagePage(http.StatusOK, "Device refused", "The device gets nothing."), nil
	default:
		return messagePage(http.StatusOK, "Device connected", "Continue on the device."), nil
	}
}

// deviceGrant exchanges a device code, as soon as a user has let the device in.
func (s *Server) deviceGrant(r *http.Request, form url.Values) (wire.Response, error) {
	current := s.worlds.Load().State
	client, err := authenticate(current, r, form)
	if err != nil {
		return wire.Response{}, err
	}
	granted, err := s.openDeviceCode(cmp.Or(form.Get("device_code"), form.Get("code")))
	if err != nil {
		return wire.Response{}, err
	}
	connected, err := s.devices.poll(granted.UserCode, client.ID, s.now())
	if err != nil {
		return wire.Response{}, err
	}
	user, ok := current.User(connected.userID)
	if !ok {
		return wire.Response{}, oauthapi.NewError(oauthapi.InvalidGrant, accountDeleted)
	}
	return s.issueFirst(r.Context(), current, token.ForUser(user, client.ID, connected.scopes), token.Claims{})
}

func (s *Server) openDeviceCode(text string) (deviceCode, error) {
	if text == "" {
		return deviceCode{}, oauthapi.Missing("device_code")
	}
	sealer, err := s.issuer.Sealer(deviceCodePrefix)
	if err != nil {
		return deviceCode{}, err
	}
	var granted deviceCode
	switch err := sealer.Open(text, &granted); {
	case err != nil:
		return deviceCode{}, oauthapi.NewError(oauthapi.InvalidGrant, malformedCode)
	case s.now().Unix() >= granted.Expires:
		return deviceCode{}, oauthapi.NewError(oauthapi.ExpiredToken, badRequest)
	default:
		return granted, nil
	}
}

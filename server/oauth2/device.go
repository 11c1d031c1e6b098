package oauth2

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
)

// Google's limits for devices
// (https://developers.google.com/identity/protocols/oauth2/limited-input-device).
const (
	deviceLifetime = 30 * time.Minute
	pollInterval   = 5 * time.Second

	// pollTolerance is subtracted from pollInterval, because timers and networks are not exact.
	pollTolerance = time.Second
)

// deviceForm returns the form of Google's device codes.
func deviceForm() token.Form { return token.Form{Prefix: "AH-1Ng"} }

// deviceCode is the content of a device code, sealed. The user code in it finds the device.
type deviceCode struct {
	_ struct{} `cbor:",toarray"`

	UserCode string
	Expires  int64 // Unix seconds
}

// device is a device that waits for a user's consent (RFC 8628).
type device struct {
	Client  string    `json:"client"`
	Scopes  []string  `json:"scopes"`
	Expires time.Time `json:"expires"`

	Decided bool      `json:"decided"`
	UserID  string    `json:"userId"` // unique ID; empty if the user denied access
	Polled  time.Time `json:"polled"` // time of the last poll
	Heard   time.Time `json:"heard"`  // time of the last poll, or of the request for the code
}

// devices holds the waiting devices. Even if somebody asks for many codes, it does not forget a device
// that polls.
type devices struct{ documents Documents }

const (
	maxDevices = 1 << 10

	// abandoned is the time without a poll after which a device gives way to others if there are too
	// many.
	abandoned = 12 * pollInterval
)

// readDevice returns the device in a document. If there is no document, it returns the zero value.
func readDevice(document []byte) (d device, ok bool) {
	return d, document != nil && json.Unmarshal(document, &d) == nil
}

// document returns the device in the form in which it is kept.
func (d device) document() ([]byte, error) { return json.Marshal(d) }

// add adds a device. It returns false if there are too many, and all of them wait.
func (d devices) add(userCode string, waiting device, now time.Time) (bool, error) {
	known := d.documents.All()
	if len(known) >= maxDevices {
		for code, document := range known {
			if other, ok := readDevice(document); !ok || other.isAbandoned(now) {
				delete(known, code)
				if err := d.documents.Change(code, func([]byte) ([]byte, error) { return nil, nil }); err != nil {
					return false, err
				}
			}
		}
	}
	if len(known) >= maxDevices {
		return false, nil
	}
	return true, d.documents.Change(userCode, func([]byte) ([]byte, error) { return waiting.document() })
}

// isAbandoned reports whether the device has expired, or no longer polls.
func (d device) isAbandoned(now time.Time) bool {
	return !now.Before(d.Expires) || now.Sub(d.Heard) > abandoned
}

// waits reports whether the device waits for the decision of a user.
func (d device) waits(now time.Time) bool { return !d.Decided && now.Before(d.Expires) }

// find returns the device that waits with userCode.
func (d devices) find(userCode string, now time.Time) (device, bool) {
	document, _ := d.documents.Find(userCode)
	known, ok := readDevice(document)
	return known, ok && known.waits(now)
}

// decide records the decision for the device with userCode: the unique ID of the user who
// consented. If the user denied access, userID is empty. It reports whether such a device exists.
func (d devices) decide(userCode, userID string, now time.Time) (exists bool, err error) {
	err = d.documents.Change(userCode, func(old []byte) ([]byte, error) {
		known, ok := readDevice(old)
		if exists = ok && known.waits(now); !exists {
			return old, nil
		}
		known.Decided, known.UserID = true, userID
		return known.document()
	})
	return exists, err
}

// poll returns the device with userCode, and forgets it, if a user has given consent. Otherwise the
// error advises the client (RFC 8628, section 3.5).
func (d devices) poll(userCode, client string, now time.Time) (connected device, err error) {
	var answer error
	err = d.documents.Change(userCode, func(old []byte) ([]byte, error) {
		known, ok := readDevice(old)
		connected, answer = known, nil
		switch {
		case !ok, known.Client != client:
			answer = oauthapi.NewError(oauthapi.InvalidGrant, badRequest).Because("no device of client %q is waiting for this code", client)
			return old, nil
		case known.Decided:
			if known.UserID == "" {
				answer = oauthapi.Forbidden(oauthapi.AccessDenied).Because("the user has denied the device access")
			}
			return nil, nil
		}
		answer = known.pending(now)
		known.Polled, known.Heard = now, now
		return known.document()
	})
	return connected, cmp.Or(err, answer)
}

// pending returns the answer to a device that polls before the user has decided.
func (d device) pending(now time.Time) error {
	if now.Sub(d.Polled) < pollInterval-pollTolerance {
		return oauthapi.Forbidden(oauthapi.SlowDown).Because("the device asks more often than every %s", pollInterval)
	}
	return &oauthapi.Error{
		Status: http.StatusPreconditionRequired, Code: oauthapi.AuthorizationPending, Description: "Precondition Required",
	}
}

// deviceAnswer is the answer to a device, with Google's member names.
type deviceAnswer struct {
	DeviceCode      string `json:"device_code"`
	UserCode        string `json:"user_code"`
	ExpiresIn       int    `json:"expires_in"` // seconds
	Interval        int    `json:"interval"`   // seconds
	VerificationURL string `json:"verification_url"`
}

// DeviceCode handles the request for a device code (RFC 8628, section 3.1).
func (s *Server) DeviceCode(r *http.Request) (wire.Response, error) {
	if wire.IsForeign(r) {
		return wire.Response{}, foreign(oauthapi.Forbidden(oauthapi.AccessDenied), "a web page of another site has asked for a device code")
	}
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
	now := s.now()
	userCode, expires := newUserCode(), now.Add(deviceLifetime)
	text, err := s.issuer.Seal(deviceForm(), deviceCode{UserCode: userCode, Expires: expires.Unix()}, nil)
	if err != nil {
		return wire.Response{}, err
	}
	added, err := s.devices.add(userCode, device{Client: client.ID, Scopes: scopes, Expires: expires, Heard: now}, now)
	if err != nil {
		return wire.Response{}, err
	}
	if !added {
		return wire.Response{}, oauthapi.Forbidden(oauthapi.RateLimitExceeded).BecauseOf(journal.Refusal{
			Code: reason.RateLimited, Reason: fmt.Sprintf("%d devices are waiting for a person, and no more are allowed", maxDevices),
			Hint: "wait until some have expired, or reset the emulator",
		})
	}
	return oauthapi.JSON(deviceAnswer{
		DeviceCode:      text,
		UserCode:        userCode,
		ExpiresIn:       int(deviceLifetime / time.Second),
		Interval:        int(pollInterval / time.Second),
		VerificationURL: verificationURL(r),
	}), nil
}

// verificationURL returns the URL of the page for the user. If the client used a host name of
// Google, the URL has a name that leads to the emulator too; Google's own page is at
// www.google.com.
func verificationURL(r *http.Request) string {
	if hostname.IsGoogle(hostname.Of(r.Host)) {
		return "https://accounts.google.com/device"
	}
	return wire.BaseURL(r) + "/device"
}

// codeLetters has no vowels, so that user codes do not spell words (RFC 8628, section 6.1).
const (
	codeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	codeHalf    = 4
)

// newUserCode returns a random code such as GQVQ-JKSC.
func newUserCode() string {
	var letters string
	for len(letters) < 2*codeHalf {
		letters += onlyCodeLetters(rand.Text())
	}
	return letters[:codeHalf] + "-" + letters[codeHalf:2*codeHalf]
}

// readUserCode normalizes a code as people type it. It returns "" if text cannot be a code.
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

// Device handles the page on which a user connects a device. A program may post the same form:
// user_code, and either user or deny. Without both, the first user consents.
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
	refused := userCodePage(http.StatusBadRequest, "No device is waiting for the code "+strconv.Quote(userCode)+".")
	refused.Refusal = &journal.Refusal{Code: reason.InvalidGrant, Reason: "no device is waiting for the code that somebody typed", Hint: "type the code that the device shows"}
	return refused
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
	exists, err := s.devices.decide(readUserCode(userCode), userID, s.now())
	switch {
	case err != nil:
		return wire.Response{}, err
	case !exists:
		return noDevice(userCode), nil
	case made.denied:
		return messagePage(http.StatusOK, "Access denied", "The device was not given access."), nil
	default:
		return messagePage(http.StatusOK, "Device connected", "Continue on the device."), nil
	}
}

// deviceGrant exchanges a device code once a user has given consent.
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
	user, ok := current.User(connected.UserID)
	if !ok {
		return wire.Response{}, oauthapi.NewError(oauthapi.InvalidGrant, accountDeleted)
	}
	return s.issueFirst(r.Context(), current, token.ForUser(user, client.ID, connected.Scopes), token.Claims{})
}

func (s *Server) openDeviceCode(text string) (deviceCode, error) {
	if text == "" {
		return deviceCode{}, oauthapi.Missing("device_code")
	}
	var granted deviceCode
	switch err := s.issuer.Open(deviceForm(), text, &granted, new(any)); {
	case errors.Is(err, token.ErrUnknown):
		return deviceCode{}, oauthapi.NewError(oauthapi.InvalidGrant, malformedCode)
	case err != nil:
		return deviceCode{}, err
	case s.now().Unix() >= granted.Expires:
		return deviceCode{}, oauthapi.NewError(oauthapi.ExpiredToken, badRequest).Because("the device code has expired")
	default:
		return granted, nil
	}
}

package neighbour

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/accountkeys"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// The terms of signed URLs (https://cloud.google.com/storage/docs/authentication/signatures).
const (
	algorithm   = "GOOG4-RSA-SHA256"
	timeFormat  = "20060102T150405Z"
	longestLife = 7 * 24 * time.Hour
	clockSkew   = 15 * time.Minute
)

// isSigned reports whether a request to Cloud Storage has its credential in a signed URL.
func isSigned(r *http.Request, to *world.Neighbour) bool {
	return to.Host == storage && r.URL.Query().Has("X-Goog-Signature")
}

// authorizeSigned decides by the signature in the URL of a request. The account that signed it is the
// caller.
func (n *Neighbours) authorizeSigned(r *http.Request, to *world.Neighbour) (iam.Principal, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil { // the neighbour may read parameters that the signature would not cover
		return n.unsigned(r, "the query of the signed URL is malformed: "+err.Error(), "send the query that was signed")
	}
	email, scope, _ := strings.Cut(query.Get("X-Goog-Credential"), "/")
	account, known := n.config.Worlds.Load().State.Account(email)
	if !known || account.Disabled || query.Get("X-Goog-Algorithm") != algorithm {
		return n.unsigned(r, fmt.Sprintf("the signed URL names account %q and algorithm %q", email, query.Get("X-Goog-Algorithm")),
			"sign with "+algorithm+" as a service account of the fixture that is not disabled")
	}
	if why := expiry(query, n.config.Clock.Now()); why != "" {
		journal.Refuse(r.Context(), journal.Refusal{Code: reason.ExpiredToken, Caller: account.Principal().Member(), Reason: why, Hint: "sign the URL again; it is good for at most seven days"})
		return account.Principal(), googleapi.InvalidArgument("The provided token has expired.")
	}
	usable, err := accountkeys.Usable(n.config.Keys, account)
	if err != nil {
		return iam.Principal{}, err
	}
	signature, _ := hex.DecodeString(query.Get("X-Goog-Signature"))
	for _, host := range []string{r.Host, hostname.Of(r.Host)} { // some libraries sign the host without its port
		content := sha256.Sum256([]byte(canonicalRequest(r, query, host)))
		signed := sha256.Sum256([]byte(strings.Join([]string{algorithm, query.Get("X-Goog-Date"), scope, hex.EncodeToString(content[:])}, "\n")))
		for _, key := range usable {
			if rsa.VerifyPKCS1v15(key.Public(), crypto.SHA256, signed[:], signature) == nil {
				permission, _ := demandOf(to, r.Method, pathAt(to, r))
				if permission == free {
					return account.Principal(), nil
				}
				return account.Principal(), n.config.Guard.As(r.Context(), account.Principal()).Need(permission, nil)
			}
		}
	}
	return n.unsigned(r, fmt.Sprintf("the signature of the URL is not %q's signature of this request", email),
		"send the method, path, query and headers that were signed")
}

// unsigned refuses a request with a bad signature.
func (*Neighbours) unsigned(r *http.Request, why, hint string) (iam.Principal, error) {
	journal.Refuse(r.Context(), journal.Refusal{Code: reason.BadSignature, Reason: why, Hint: hint})
	return iam.Principal{}, googleapi.PermissionDenied("The request signature we calculated does not match the signature you provided. Check your Google secret key and signing method.")
}

// expiry returns a sentence if a signed URL is not valid at a moment, and otherwise nothing.
func expiry(query url.Values, now time.Time) string {
	begins, err := time.Parse(timeFormat, query.Get("X-Goog-Date"))
	seconds, wrong := strconv.ParseUint(query.Get("X-Goog-Expires"), 10, 32)
	life := time.Duration(seconds) * time.Second
	switch {
	case err != nil || wrong != nil || life > longestLife:
		return "the date or the lifetime of the signed URL is not valid"
	case begins.After(now.Add(clockSkew)):
		return "the signed URL is for a later time"
	case !now.Before(begins.Add(life)):
		return "the signed URL expired at " + begins.Add(life).Format(time.RFC3339)
	default:
		return ""
	}
}

// canonicalRequest returns the text for the digest of the signature
// (https://cloud.google.com/storage/docs/authentication/canonical-requests).
func canonicalRequest(r *http.Request, query url.Values, host string) string {
	path, _, _ := strings.Cut(wire.Target(r), "?")
	query.Del("X-Goog-Signature") // the caller has read it
	names := query.Get("X-Goog-SignedHeaders")
	lines := []string{r.Method, path, strings.ReplaceAll(query.Encode(), "+", "%20")}
	for name := range strings.SplitSeq(names, ";") {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = host
		}
		lines = append(lines, name+":"+strings.Join(strings.Fields(value), " "))
	}
	payload := r.Header.Get("X-Goog-Content-SHA256")
	if payload == "" {
		payload = "UNSIGNED-PAYLOAD"
	}
	return strings.Join(append(lines, "", names, payload), "\n")
}

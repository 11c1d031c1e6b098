package door

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/token"
)

// sessionLifetime is the time after which a browser must sign in again.
const sessionLifetime = time.Hour

// sessionForm returns the form of sealed sessions.
func sessionForm() token.Form { return token.Form{Prefix: "iap-session-"} }

// session names the user who has signed in to a service. The door keeps no sessions: the browser's
// cookie has the session, sealed.
type session struct {
	Service string `json:"service"`
	User    string `json:"user"` // the unique ID
	Expires int64  `json:"exp"`  // Unix seconds
}

// proxyCookies begins the names of the proxy's cookies, which a container does not get.
const proxyCookies = "GCP_IAP_"

// sessionCookie returns the name of the cookie that keeps the session at a service. Browsers do not
// separate cookies by port, so each service has its own name.
func sessionCookie(service string) string {
	const digits = 8
	sum := sha256.Sum256([]byte(service))
	return "GCP_IAP_AUTH_TOKEN_" + strings.ToUpper(hex.EncodeToString(sum[:digits]))
}

// sessionOf returns the unique ID of the user of the browser's session at a service.
func (d *Doors) sessionOf(r *http.Request, at ingress.Door) string {
	cookie, err := r.Cookie(sessionCookie(at.Service.Name))
	if err != nil {
		return ""
	}
	var known session
	if d.config.Issuer.Open(sessionForm(), cookie.Value, &known, &nothing{}) != nil ||
		known.Service != at.Service.Name || at.Now.Unix() >= known.Expires {
		return ""
	}
	return known.User
}

// dropSession removes the proxy's cookies from a header, and leaves all others as they are.
func dropSession(header http.Header) {
	var kept []string
	for _, line := range header["Cookie"] {
		var others []string
		for pair := range strings.SplitSeq(line, ";") {
			if !strings.HasPrefix(strings.TrimSpace(pair), proxyCookies) {
				others = append(others, strings.TrimSpace(pair))
			}
		}
		if len(others) > 0 {
			kept = append(kept, strings.Join(others, "; "))
		}
	}
	delete(header, "Cookie")
	if kept != nil {
		header["Cookie"] = kept
	}
}

package world

import (
	"crypto/subtle"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/router/hostname"
)

// OAuthClient is an OAuth 2.0 client.
type OAuthClient struct {
	ID           string
	Secret       string   // empty: any secret is accepted
	RedirectURIs []string // empty: any URI on this machine

	doors *World // of Identity-Aware Proxy's own client: the world whose services it signs in to
}

// IAPCallback is the path at every service of Identity-Aware Proxy to which a sign-in leads back.
const IAPCallback = "/_gcp_gatekeeper/authenticate"

// IAPClient returns the ID of the client that Google manages for Identity-Aware Proxy.
func (w *World) IAPClient() string {
	return fmt.Sprintf("%d-iap.apps.googleusercontent.com", w.Project.Number)
}

// OAuthClient finds a client by its ID. If the fixture registers no clients, every ID is
// accepted, with any secret.
func (w *World) OAuthClient(id string) (*OAuthClient, bool) {
	if id == w.IAPClient() {
		return &OAuthClient{ID: id, doors: w}, true
	}
	if len(w.OAuthClients) == 0 {
		return &OAuthClient{ID: id}, id != ""
	}
	at := slices.IndexFunc(w.OAuthClients, func(client *OAuthClient) bool { return client.ID == id })
	if at < 0 {
		return nil, false
	}
	return w.OAuthClients[at], true
}

// Accepts reports whether secret is the client's secret. A client without a secret accepts any.
func (c *OAuthClient) Accepts(secret string) bool {
	return c.Secret == "" || subtle.ConstantTimeCompare([]byte(secret), []byte(c.Secret)) == 1
}

// MayRedirectTo reports whether an authorization answer may be sent to a URI. The URI must equal
// a registered URI (RFC 9700, section 2.1) or, if none is registered, lead to a server on this
// machine (RFC 8252, section 7.3).
func (c *OAuthClient) MayRedirectTo(uri string) bool {
	if len(c.RedirectURIs) > 0 {
		return slices.Contains(c.RedirectURIs, uri)
	}
	parsed, err := url.Parse(uri)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.User != nil || strings.Contains(uri, "#") {
		return false
	}
	if c.doors != nil {
		return parsed.EscapedPath() == IAPCallback && parsed.RawQuery == "" && c.doors.isDoor(parsed.Hostname())
	}
	return hostname.IsLoopback(parsed.Hostname())
}

// isDoor reports whether a host may be a door of a service of the world.
func (w *World) isDoor(host string) bool {
	_, isService := w.servicesByHost[strings.ToLower(host)]
	return isService || hostname.IsLoopback(host)
}

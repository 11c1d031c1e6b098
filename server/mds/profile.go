package mds

import (
	"fmt"
	"net"
	"net/http"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/errorpage"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/wire"
)

// profile holds the differences between the metadata servers of the kinds of workload, except
// for their content.
type profile struct {
	header        http.Header                                                    // the header of every answer, in Google's spelling
	page          func(r *http.Request, status int, reason string) wire.Response // an error page, without header
	missingFlavor func(r *http.Request) wire.Response                            // the answer to a request without the flavor header

	pingNeedsFlavor bool // "/" needs the flavor header too
	bareHost        bool // the server's own names and addresses are refused if a port follows them
	oldFlavor       bool // X-Google-Metadata-Request counts as the flavor header
	etags           bool
	anyScopes       bool // tokens get the requested scopes, even if the instance lacks them
	alwaysEmail     bool // ID tokens in the standard format have the e-mail address too
	describesVM     bool // ID tokens in the full format describe the VM
}

func profiles() map[fixtures.Profile]*profile {
	return map[fixtures.Profile]*profile{
		fixtures.GCE:            gce(),
		fixtures.GKE:            gke(),
		fixtures.CloudRun:       serverless(),
		fixtures.CloudFunctions: serverless(),
		fixtures.AppEngine:      serverless(),
	}
}

// gce returns the profile of a VM's metadata server, which is behind Google's front ends.
func gce() *profile {
	p := &profile{header: header("Metadata Server for VM"), page: errorpage.Page, oldFlavor: true, etags: true, describesVM: true}
	p.missingFlavor = p.refuseAndClose
	return p
}

// serverless returns the profile of Cloud Run and similar services. Requests that their server refuses
// before it looks at the path get no flavor header.
func serverless() *profile {
	p := &profile{
		header: header("Metadata Server for Serverless"), page: errorpage.Page, oldFlavor: true, etags: true, anyScopes: true, bareHost: true,
	}
	p.missingFlavor = func(r *http.Request) wire.Response { return withoutFlavor(p.refuseAndClose(r)) }
	return p
}

// withoutFlavor returns an answer without the header that clients recognise Google Cloud by.
func withoutFlavor(response wire.Response) wire.Response {
	response.Shared = response.Shared.Clone()
	delete(response.Shared, "Metadata-Flavor")
	return response
}

// gke returns the profile of the metadata server on each node of a GKE cluster, a Go program.
func gke() *profile {
	return &profile{
		header: http.Header{"Metadata-Flavor": {"Google"}, "Server": {"GKE Metadata Server"}},
		page:   plainText,
		missingFlavor: func(r *http.Request) wire.Response {
			return plainText(r, http.StatusForbidden,
				`GKE Metadata Server encountered an error: Missing required header "Metadata-Flavor": "Google"`)
		},
		pingNeedsFlavor: true, anyScopes: true, alwaysEmail: true,
	}
}

func header(server string) http.Header {
	return http.Header{
		"Metadata-Flavor":  {"Google"},
		"Server":           {server},
		"X-XSS-Protection": {"0"}, //nolint:canonicalheader // as Google spells it
		"X-Frame-Options":  {"SAMEORIGIN"},
	}
}

// answer returns an answer with the profile's header and further fields.
func (p *profile) answer(contentType, body string, fields ...wire.Field) wire.Response {
	return wire.Response{ContentType: contentType, Header: fields, Body: body, Shared: p.header}
}

// complete adds the profile's header to a rendering.
func (p *profile) complete(found *rendering) wire.Response {
	response := found.Response
	response.Shared = p.header
	if !p.etags && found.etag != "" {
		response.Header = nil
	}
	return response
}

// refuseUnseen refuses requests regardless of their path: requests from proxies, and requests with a
// Host that the server does not accept.
func (p *profile) refuseUnseen(r *http.Request) (wire.Response, bool) {
	if _, forwarded := r.Header["X-Forwarded-For"]; forwarded {
		return because(p.refuse(r, http.StatusForbidden, ""), reason.Forwarded, "the request for %q has the header X-Forwarded-For, so that a proxy has sent it", r.URL.Path), true
	}
	if !p.bareHost {
		return wire.Response{}, false
	}
	host, _, err := net.SplitHostPort(r.Host)
	if host = hostname.Of(host); err != nil || !hostname.IsMetadata(host) && !hostname.IsMetadataAddress(host) {
		return wire.Response{}, false // the emulator's own address always has a port
	}
	response := plainText(r, http.StatusForbidden, "Unable to validate host: "+r.Host)
	response.Shared = p.header
	return because(withoutFlavor(response), reason.ForeignHost, "a serverless metadata server refuses a Host with a port, such as %q", r.Host), true
}

// refuse returns an error answer. The reason is used for statuses without standard text.
func (p *profile) refuse(r *http.Request, status int, reason string) wire.Response {
	response := p.page(r, status, reason)
	response.Shared = p.header
	return response
}

// say returns an error answer with a short text as its body.
func (p *profile) say(r *http.Request, status int, text string) wire.Response {
	response := p.refuse(r, status, "")
	response.Body = text
	return response
}

// refuseAndClose also closes the connection. Google's server writes "Close", but net/http
// closes the connection only for this spelling.
func (p *profile) refuseAndClose(r *http.Request) wire.Response {
	response := p.refuse(r, http.StatusForbidden, "Missing Metadata-Flavor:Google header.")
	response.Header = []wire.Field{{Name: "Connection", Value: "close"}}
	return response
}

// plainText returns an error as Go's net/http writes it.
func plainText(_ *http.Request, status int, reason string) wire.Response {
	switch {
	case reason != "":
	case status == http.StatusNotFound:
		reason = "404 page not found"
	default:
		reason = wire.StatusText(status)
	}
	return wire.Response{
		Status:      status,
		ContentType: "text/plain; charset=utf-8",
		Header:      []wire.Field{{Name: "X-Content-Type-Options", Value: "nosniff"}},
		Body:        reason + "\n",
	}
}

// notAnnotated returns GKE's error for an ID token of an account without a Google service
// account (https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity).
func notAnnotated(kubernetes string) string {
	return fmt.Sprintf("Your Kubernetes service account (%s) is not annotated with a target Google service account, "+
		"which is a requirement for retrieving Identity Tokens using Workload Identity.\n"+
		"Please add the iam.gke.io/gcp-service-account=[GSA_NAME]@[PROJECT_ID] annotation to your Kubernetes service account.\n"+
		"Refer to https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity\n", kubernetes)
}

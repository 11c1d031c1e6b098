package mds

import (
	"fmt"
	"net/http"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/errorpage"
	"gcp-metadata-emulator/server/wire"
)

// profile is what differs between the metadata servers of the kinds of workload, besides
// what they serve.
type profile struct {
	header        http.Header                                                    // of every answer, as it is spelled
	page          func(r *http.Request, status int, reason string) wire.Response // says no, without that header
	missingFlavor func(r *http.Request) wire.Response                            // says no to a request without the flavor

	pingNeedsFlavor bool // "/" too is refused without the flavor
	oldFlavor       bool // X-Google-Metadata-Request is as good
	etags           bool
	anyScopes       bool // tokens have the scopes that are asked for, whatever the instance has
	alwaysEmail     bool // ID tokens in the standard format tell the e-mail address too
	describesVM     bool // ID tokens in the full format tell of the VM
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

// gce is the server of a VM, behind Google's front ends.
func gce() *profile {
	p := &profile{header: header("Metadata Server for VM"), page: errorpage.Page, oldFlavor: true, etags: true, describesVM: true}
	p.missingFlavor = p.refuseAndClose
	return p
}

// serverless is the server of Cloud Run and its kin.
func serverless() *profile {
	p := &profile{header: header("Metadata Server for Serverless"), page: errorpage.Page, oldFlavor: true, etags: true, anyScopes: true}
	p.missingFlavor = p.refuseAndClose
	return p
}

// gke is the server that runs on each node of a cluster, a Go program.
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

// answer is an answer with the header of the profile, and further fields.
func (p *profile) answer(contentType, body string, fields ...wire.Field) wire.Response {
	return wire.Response{ContentType: contentType, Header: fields, Body: body, Shared: p.header}
}

// complete is what was found, with the header of the profile.
func (p *profile) complete(found *rendering) wire.Response {
	response := found.Response
	response.Shared = p.header
	if !p.etags && found.etag != "" {
		response.Header = nil
	}
	return response
}

// refuse says no. The reason is for those statuses that have no words of their own.
func (p *profile) refuse(r *http.Request, status int, reason string) wire.Response {
	response := p.page(r, status, reason)
	response.Shared = p.header
	return response
}

// say is a short text with a status that says no.
func (p *profile) say(r *http.Request, status int, text string) wire.Response {
	response := p.refuse(r, status, "")
	response.Body = text
	return response
}

// refuseAndClose also ends the connection. Google's server writes "Close"; net/http ends
// it only for this spelling.
func (p *profile) refuseAndClose(r *http.Request) wire.Response {
	response := p.refuse(r, http.StatusForbidden, "Missing Metadata-Flavor:Google header.")
	response.Header = []wire.Field{{Name: "Connection", Value: "close"}}
	return response
}

// plainText is an error as Go's net/http writes them.
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

// notAnnotated is what GKE says where an ID token is asked for and there is no Google
// service account (https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity).
func notAnnotated(kubernetes string) string {
	return fmt.Sprintf("Your Kubernetes service account (%s) is not annotated with a target Google service account, "+
		"which is a requirement for retrieving Identity Tokens using Workload Identity.\n"+
		"Please add the iam.gke.io/gcp-service-account=[GSA_NAME]@[PROJECT_ID] annotation to your Kubernetes service account.\n"+
		"Refer to https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity\n", kubernetes)
}

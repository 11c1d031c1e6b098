package ingress

import (
	"fmt"
	"html"

	"gcp-metadata-emulator/server/iam"
)

// Refusal is the answer to a request that is not let in.
type Refusal struct {
	Status int
	Header []Field
	Body   string // empty: the page that Google's servers have for the status
	Reason Reason

	ContentType string // of the body; empty: ContentType

	caller iam.Principal
}

// ContentType is the content type of every page of Cloud Run.
const ContentType = "text/html; charset=UTF-8"

// The statuses of refusals.
const (
	unauthorized = 401
	forbidden    = 403
	notFound     = 404

	methodNotAllowed = 405
)

// page is the template of the front end's pages. The first line feed and the last one are real.
const page = `
<html><head>
<meta http-equiv="content-type" content="text/html;charset=utf-8">
<title>%d %s</title>
</head>
<body text=#000000 bgcolor=#ffffff>
<h1>Error: %[2]s</h1>
<h2>%s</h2>
<h2></h2>
</body></html>
`

// frontEnd returns the header fields of the front end's own answers.
func frontEnd() []Field {
	return []Field{{"Server", "Google Frontend"}, {"Alt-Svc", `h3=":443"; ma=2592000`}}
}

// Page returns the front end's page for a status, without a reason, or nil if it has no page for
// this status.
func Page(status int, path string) *Refusal {
	switch status {
	case unauthorized:
		return unauthorizedPage(path)
	case forbidden:
		return forbiddenPage(path)
	case notFound:
		return notFoundPage()
	default:
		return nil
	}
}

func unauthorizedPage(path string) *Refusal {
	return &Refusal{
		Status: unauthorized,
		Header: append([]Field{
			{"WWW-Authenticate", `Bearer error="invalid_token" error_description="The access token could not be verified"`},
		}, frontEnd()...),
		Body: fmt.Sprintf(page, unauthorized, "Unauthorized",
			"Your client does not have permission to the requested URL <code>"+html.EscapeString(path)+"</code>."),
	}
}

func forbiddenPage(path string) *Refusal {
	return &Refusal{
		Status: forbidden,
		Header: frontEnd(),
		Body: fmt.Sprintf(page, forbidden, "Forbidden",
			"Your client does not have permission to get URL <code>"+html.EscapeString(path)+"</code> from this server."),
	}
}

func notFoundPage() *Refusal {
	return &Refusal{
		Status: notFound,
		Header: frontEnd(),
		Body:   fmt.Sprintf(page, notFound, "Page not found", "The requested URL was not found on this server."),
	}
}

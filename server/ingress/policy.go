package ingress

import (
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
)

// isReserved reports whether requests for a path never reach a container
// (https://cloud.google.com/run/docs/known-issues#ah). Similar paths such as /healthz/ do.
func isReserved(path string) bool {
	return path == "/healthz" || path == "/eventlog" || path == "/_ah" || strings.HasPrefix(path, "/_ah/")
}

// permissions returns a list of permissions. A caller needs at least one of them.
func (d Door) permissions() []string {
	if d.Service.IsFunction {
		return []string{iam.InvokeRoute, iam.InvokeFunction}
	}
	return []string{iam.InvokeRoute}
}

// mayInvoke reports whether a principal may call the service. The zero value stands for everybody.
func (d Door) mayInvoke(who iam.Principal) bool {
	return slices.ContainsFunc(d.permissions(), func(permission string) bool {
		return d.World.May(who, permission, d.Service, d.Now)
	})
}

// Admits reports whether the service lets a principal in. The zero value stands for everybody.
func (d Door) Admits(who iam.Principal) bool { return !d.demandsToken() || d.mayInvoke(who) }

// demandsToken reports whether a request needs a token.
func (d Door) demandsToken() bool {
	return d.Service.Authentication != fixtures.AuthenticateNone && !d.mayInvoke(iam.Principal{})
}

package iampolicy

import (
	"fmt"
	"strings"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/world"
)

// checkMember refuses a member that is not well-formed
// (https://cloud.google.com/iam/docs/principal-identifiers), and one that can only be
// someone of the world and is not there.
func checkMember(w *world.World, member string) error {
	kind, name, _ := strings.Cut(member, ":")
	fits := isEmail
	switch kind {
	case "allUsers", "allAuthenticatedUsers":
		fits = func(name string) bool { return name == "" }
	case "user", "group":
	case "serviceAccount":
		fits = isAccount
	case "domain":
		fits = func(name string) bool { return isName(name) && strings.Contains(name, ".") }
	case "principal", "principalSet":
		fits = func(name string) bool { return strings.HasPrefix(name, "//") && isName(name[len("//"):]) }
	case "deleted":
		fits = func(name string) bool { return strings.Contains(name, "?uid=") || strings.HasPrefix(name, "principal") }
	default:
		return googleapi.InvalidArgument(fmt.Sprintf(
			"The member %s is of an unknown type. Please set the valid type prefix for the member.", member))
	}
	if !fits(name) {
		return googleapi.InvalidArgument(fmt.Sprintf("Invalid %s (%s).", kind, name))
	}
	return checkExists(w, kind, name)
}

// checkExists refuses a user or a service account of the project who is not there. Service
// accounts of other projects may be named without being played.
func checkExists(w *world.World, kind, name string) error {
	_, isUser := w.User(name)
	_, isAccount := w.Account(name)
	switch {
	case kind == "user" && !isUser:
		return googleapi.InvalidArgument(fmt.Sprintf("User %s does not exist.", name))
	case kind == "serviceAccount" && !isAccount && w.Project.Owns(name):
		return googleapi.InvalidArgument(fmt.Sprintf("Service account %s does not exist.", name))
	default:
		return nil
	}
}

// isAccount also takes the service accounts of Kubernetes clusters:
// PROJECT.svc.id.goog[NAMESPACE/NAME].
func isAccount(name string) bool {
	_, kubernetes, found := strings.Cut(name, ".svc.id.goog[")
	return isEmail(name) || found && strings.HasSuffix(kubernetes, "]") && strings.Count(kubernetes, "/") == 1
}

func isName(text string) bool { return text != "" && !strings.ContainsAny(text, " \t\r\n") }

func isEmail(text string) bool {
	local, domain, _ := strings.Cut(text, "@")
	return local != "" && domain != "" && isName(text) && !strings.ContainsAny(domain, "@?/")
}

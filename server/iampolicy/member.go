package iampolicy

import (
	"fmt"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/world"
)

// checkMember refuses a malformed member
// (https://cloud.google.com/iam/docs/principal-identifiers), and an unknown member of the
// world's project.
func checkMember(w *world.World, member string) error {
	kind, name, _ := strings.Cut(member, ":")
	switch {
	case !fixtures.IsMemberKind(kind):
		return googleapi.InvalidArgument(fmt.Sprintf(
			"The member %s is of an unknown type. Please set the valid type prefix for the member.", member))
	case !fixtures.IsMember(member):
		return googleapi.InvalidArgument(fmt.Sprintf("Invalid %s (%s).", kind, name))
	}
	return checkExists(w, kind, name)
}

// checkExists refuses an unknown user, and an unknown service account of the project. The
// emulator does not know service accounts of other projects, so it accepts them.
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

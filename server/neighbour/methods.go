package neighbour

import (
	"net/http"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
)

// api is the emulator's knowledge of a neighbour's Google API.
type api struct {
	prefixes []string // of paths; a path without any of them is matched as it is
	methods  []method
	scopes   func(m method) []string
}

// method is a method of an API, with its permission. Some methods need a second permission in the
// cloud; it is not here.
type method struct {
	verbs      string // separated by "|"
	path       string // see matches
	permission string // may be empty
}

// free is the permission of methods that every caller with a valid credential may use.
const free = ""

// apis returns the known APIs by host name.
func apis() map[string]api {
	return map[string]api{
		"storage.googleapis.com": {
			prefixes: []string{"/storage/v1/", "/upload/storage/v1/", "/resumable/upload/storage/v1/", "/download/storage/v1/"},
			methods:  slices.Concat(storageJSON(), storageXML()),
			scopes:   storageScopes,
		},
		"pubsub.googleapis.com": {
			prefixes: []string{"/v1/projects/*/", "/google.pubsub.v1."},
			methods:  slices.Concat(pubSubREST(), pubSubCalls()),
			scopes:   func(method) []string { return []string{"https://www.googleapis.com/auth/pubsub", iam.CloudPlatform} },
		},
	}
}

// storageJSON are the methods of Cloud Storage's JSON API
// (https://cloud.google.com/storage/docs/access-control/iam-json). No bucket has a name as short as b.
func storageJSON() []method {
	return []method{
		{"GET", "b", "storage.buckets.list"},
		{"POST", "b", "storage.buckets.create"},
		{"GET", "b/*", "storage.buckets.get"},
		{"PATCH|PUT", "b/*", "storage.buckets.update"},
		{"DELETE", "b/*", "storage.buckets.delete"},
		{"GET", "b/*/iam", "storage.buckets.getIamPolicy"},
		{"PUT", "b/*/iam", "storage.buckets.setIamPolicy"},
		{"GET", "b/*/iam/testPermissions", free},
		{"GET", "b/*/o", "storage.objects.list"},
		{"POST|PUT", "b/*/o", "storage.objects.create"},
		{"GET", "b/*/o/*", "storage.objects.get"},
		{"PATCH|PUT", "b/*/o/*", "storage.objects.update"},
		{"DELETE", "b/*/o/*", "storage.objects.delete"},
		{"POST", "b/*/o/*/compose", "storage.objects.create"},
		{"POST", "b/*/o/*/copyTo/b/*/o/*", "storage.objects.create"},
		{"POST", "b/*/o/*/rewriteTo/b/*/o/*", "storage.objects.create"},
		{"GET", "b/*/o/*/acl", "storage.objects.getIamPolicy"},
		{"POST", "b/*/o/*/acl", "storage.objects.setIamPolicy"},
	}
}

// storageXML are the methods of Cloud Storage's XML API
// (https://cloud.google.com/storage/docs/access-control/iam-xml).
func storageXML() []method {
	return []method{
		{"GET", "", "storage.buckets.list"},
		{"GET", "*", "storage.objects.list"},
		{"HEAD", "*", "storage.buckets.get"},
		{"PUT", "*", "storage.buckets.create"},
		{"DELETE", "*", "storage.buckets.delete"},
		{"GET|HEAD", "*/**", "storage.objects.get"},
		{"PUT|POST", "*/**", "storage.objects.create"},
		{"DELETE", "*/**", "storage.objects.delete"},
	}
}

// storageScopes returns the scopes that Cloud Storage accepts
// (https://cloud.google.com/storage/docs/oauth-scopes).
func storageScopes(m method) []string {
	const prefix = "https://www.googleapis.com/auth/devstorage."
	full := []string{iam.CloudPlatform, prefix + "full_control"}
	switch {
	case strings.HasSuffix(m.permission, "IamPolicy"):
		return full
	case strings.HasSuffix(m.permission, ".get"), strings.HasSuffix(m.permission, ".list"):
		return append(full, prefix+"read_write", prefix+"read_only", iam.CloudPlatform+".read-only")
	default:
		return append(full, prefix+"read_write")
	}
}

// pubSubREST are the methods of Pub/Sub (https://cloud.google.com/pubsub/docs/access-control#required_permissions).
func pubSubREST() []method {
	list := []method{
		{"GET", "topics", "pubsub.topics.list"},
		{"POST", "topics/*:publish", "pubsub.topics.publish"},
		{"GET", "topics/*/subscriptions", "pubsub.topics.get"},
		{"GET", "topics/*/snapshots", "pubsub.topics.get"},
		{"GET", "subscriptions", "pubsub.subscriptions.list"},
		{"POST", "subscriptions/*:pull", "pubsub.subscriptions.consume"},
		{"POST", "subscriptions/*:acknowledge", "pubsub.subscriptions.consume"},
		{"POST", "subscriptions/*:modifyAckDeadline", "pubsub.subscriptions.consume"},
		{"POST", "subscriptions/*:seek", "pubsub.subscriptions.consume"},
		{"POST", "subscriptions/*:modifyPushConfig", "pubsub.subscriptions.update"},
		{"POST", "subscriptions/*:detach", "pubsub.topics.detachSubscription"},
		{"GET", "snapshots", "pubsub.snapshots.list"},
	}
	for _, kind := range []string{"topics", "subscriptions", "snapshots"} {
		name, permission := kind+"/*", "pubsub."+kind+"."
		list = append(list,
			method{"GET", name + ":getIamPolicy", permission + "getIamPolicy"},
			method{"POST", name + ":setIamPolicy", permission + "setIamPolicy"},
			method{"POST", name + ":testIamPermissions", free},
			method{"PUT", name, permission + "create"},
			method{"GET", name, permission + "get"},
			method{"PATCH", name, permission + "update"},
			method{"DELETE", name, permission + "delete"},
		)
	}
	return list
}

// pubSubCalls are the methods of Pub/Sub in gRPC.
func pubSubCalls() []method {
	return []method{
		{"POST", "Publisher/CreateTopic", "pubsub.topics.create"},
		{"POST", "Publisher/UpdateTopic", "pubsub.topics.update"},
		{"POST", "Publisher/Publish", "pubsub.topics.publish"},
		{"POST", "Publisher/GetTopic", "pubsub.topics.get"},
		{"POST", "Publisher/ListTopics", "pubsub.topics.list"},
		{"POST", "Publisher/ListTopicSubscriptions", "pubsub.topics.get"},
		{"POST", "Publisher/ListTopicSnapshots", "pubsub.topics.get"},
		{"POST", "Publisher/DeleteTopic", "pubsub.topics.delete"},
		{"POST", "Publisher/DetachSubscription", "pubsub.topics.detachSubscription"},
		{"POST", "Subscriber/CreateSubscription", "pubsub.subscriptions.create"},
		{"POST", "Subscriber/GetSubscription", "pubsub.subscriptions.get"},
		{"POST", "Subscriber/UpdateSubscription", "pubsub.subscriptions.update"},
		{"POST", "Subscriber/ListSubscriptions", "pubsub.subscriptions.list"},
		{"POST", "Subscriber/DeleteSubscription", "pubsub.subscriptions.delete"},
		{"POST", "Subscriber/ModifyAckDeadline", "pubsub.subscriptions.consume"},
		{"POST", "Subscriber/Acknowledge", "pubsub.subscriptions.consume"},
		{"POST", "Subscriber/Pull", "pubsub.subscriptions.consume"},
		{"POST", "Subscriber/StreamingPull", "pubsub.subscriptions.consume"},
		{"POST", "Subscriber/Seek", "pubsub.subscriptions.consume"},
		{"POST", "Subscriber/ModifyPushConfig", "pubsub.subscriptions.update"},
		{"POST", "Subscriber/GetSnapshot", "pubsub.snapshots.get"},
		{"POST", "Subscriber/ListSnapshots", "pubsub.snapshots.list"},
		{"POST", "Subscriber/CreateSnapshot", "pubsub.snapshots.create"},
		{"POST", "Subscriber/UpdateSnapshot", "pubsub.snapshots.update"},
		{"POST", "Subscriber/DeleteSnapshot", "pubsub.snapshots.delete"},
	}
}

// demandOf returns the permission for a request to a neighbour, and a list of scopes. The request's
// token needs one of the scopes. The path is escaped.
func demandOf(to *world.Neighbour, verb, path string) (permission string, scopes []string) {
	scopes = []string{iam.CloudPlatform}
	found := method{permission: to.Permission}
	if known, ok := apis()[to.Host]; ok {
		at := slices.IndexFunc(known.methods, func(m method) bool {
			return slices.Contains(strings.Split(m.verbs, "|"), verb) && matches(m.path, known.relative(path))
		})
		if at >= 0 {
			found = known.methods[at]
		}
		if at < 0 && found.permission == "" && (verb == http.MethodGet || verb == http.MethodHead) {
			scopes = known.scopes(method{permission: "unknown.get"})
		} else {
			scopes = known.scopes(found)
		}
	}
	if len(to.Scopes) > 0 {
		scopes = to.Scopes
	}
	return found.permission, scopes
}

// relative returns a path without the prefix of its API.
func (a api) relative(path string) string {
	for _, prefix := range a.prefixes {
		if rest, ok := cutPattern(path, prefix); ok {
			return rest
		}
	}
	return strings.TrimPrefix(path, "/")
}

// cutPattern cuts a prefix in which "/*/" stands for any segment.
func cutPattern(path, prefix string) (rest string, ok bool) {
	before, after, wild := strings.Cut(prefix, "/*/")
	if !wild {
		return strings.CutPrefix(path, prefix)
	}
	rest, ok = strings.CutPrefix(path, before+"/")
	if !ok {
		return "", false
	}
	_, rest, ok = strings.Cut(rest, "/")
	if !ok {
		return "", false
	}
	return strings.CutPrefix(rest, after)
}

// matches reports whether a path has the form of a pattern. In a pattern, * stands for any text of a
// segment, and ** at the end for at least one segment.
func matches(pattern, path string) bool {
	wanted, rest, more := strings.Cut(pattern, "/")
	if wanted == "**" {
		return path != ""
	}
	segment, below, deeper := strings.Cut(path, "/")
	suffix, wild := strings.CutPrefix(wanted, "*")
	switch {
	case wild && (len(segment) <= len(suffix) || !strings.HasSuffix(segment, suffix)), !wild && segment != wanted:
		return false
	case more && deeper:
		return matches(rest, below)
	default:
		return more == deeper || !more && below == ""
	}
}

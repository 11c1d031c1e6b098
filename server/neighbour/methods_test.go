package neighbour_test

import (
	"slices"
	"testing"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/neighbour"
	"gcp-metadata-emulator/server/world"
)

func TestPermissions(t *testing.T) {
	t.Parallel()
	const storage, pubsub, other = "storage.googleapis.com", "pubsub.googleapis.com", "firestore.googleapis.com"
	for _, test := range []struct{ host, method, path, want string }{
		{storage, "GET", "/storage/v1/b", "storage.buckets.list"},
		{storage, "GET", "/b", "storage.buckets.list"},
		{storage, "POST", "/storage/v1/b", "storage.buckets.create"},
		{storage, "GET", "/storage/v1/b/photos", "storage.buckets.get"},
		{storage, "GET", "/storage/v1/b/photos/o", "storage.objects.list"},
		{storage, "GET", "/storage/v1/b/photos/o/", "storage.objects.list"},
		{storage, "GET", "/storage/v1/b/photos/o/a%2Fb.txt", "storage.objects.get"},
		{storage, "GET", "/download/storage/v1/b/photos/o/a", "storage.objects.get"},
		{storage, "POST", "/upload/storage/v1/b/photos/o", "storage.objects.create"},
		{storage, "PUT", "/resumable/upload/storage/v1/b/photos/o", "storage.objects.create"},
		{storage, "DELETE", "/storage/v1/b/photos/o/a", "storage.objects.delete"},
		{storage, "POST", "/storage/v1/b/photos/o/a/rewriteTo/b/other/o/c", "storage.objects.create"},
		{storage, "GET", "/storage/v1/b/photos/iam/testPermissions", ""},
		{storage, "GET", "/", "storage.buckets.list"},
		{storage, "GET", "/photos", "storage.objects.list"},
		{storage, "GET", "/photos/", "storage.objects.list"},
		{storage, "GET", "/photos/a/b.txt", "storage.objects.get"},
		{storage, "PUT", "/photos/a", "storage.objects.create"},
		{storage, "POST", "/batch/storage/v1", "storage.objects.create"}, // like an object "storage/v1" of a bucket "batch"
		{storage, "PATCH", "/photos/a", "x.y.given"},
		{pubsub, "POST", "/v1/projects/demo/topics/t:publish", "pubsub.topics.publish"},
		{pubsub, "PUT", "/v1/projects/demo/topics/t", "pubsub.topics.create"},
		{pubsub, "GET", "/v1/projects/demo/topics", "pubsub.topics.list"},
		{pubsub, "GET", "/v1/projects/demo/topics/t:getIamPolicy", "pubsub.topics.getIamPolicy"},
		{pubsub, "POST", "/v1/projects/demo/subscriptions/s:pull", "pubsub.subscriptions.consume"},
		{pubsub, "POST", "/google.pubsub.v1.Publisher/Publish", "pubsub.topics.publish"},
		{pubsub, "POST", "/google.pubsub.v1.Subscriber/StreamingPull", "pubsub.subscriptions.consume"},
		{pubsub, "POST", "/google.pubsub.v1.SchemaService/CreateSchema", "x.y.given"},
		{pubsub, "POST", "/v1/projects", "x.y.given"},
		{other, "GET", "/v1/projects/demo", "x.y.given"},
	} {
		got, _ := neighbour.DemandOf(&world.Neighbour{Host: test.host, Permission: "x.y.given"}, test.method, test.path)
		if got != test.want {
			t.Errorf("%s %s needs %q, want %q", test.method, test.path, got, test.want)
		}
	}
}

// Every permission of the tables is in a predefined role, so that a hint can name one.
func TestPermissionsAreGranted(t *testing.T) {
	t.Parallel()
	for _, permission := range neighbour.Permissions() {
		if permission != "" && len(iam.NewRoles().Granting(permission)) == 0 {
			t.Errorf("no role grants %q", permission)
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	const readOnly, readWrite = "https://www.googleapis.com/auth/devstorage.read_only", "https://www.googleapis.com/auth/devstorage.read_write"
	for _, test := range []struct {
		method, path, scope string
		want                bool
	}{
		{"GET", "/storage/v1/b/photos/o/a", readOnly, true},
		{"GET", "/storage/v1/b/photos/unknown/thing", readOnly, true},
		{"POST", "/upload/storage/v1/b/photos/o", readOnly, false},
		{"POST", "/upload/storage/v1/b/photos/o", readWrite, true},
		{"PUT", "/storage/v1/b/photos/iam", readWrite, false},
		{"PUT", "/storage/v1/b/photos/iam", iam.CloudPlatform, true},
	} {
		if got := accepts(&world.Neighbour{Host: "storage.googleapis.com"}, test.method, test.path, test.scope); got != test.want {
			t.Errorf("%s %s with %s: %t", test.method, test.path, test.scope, got)
		}
	}
	given := &world.Neighbour{Host: "storage.googleapis.com", Scopes: []string{"mine"}}
	if !accepts(given, "GET", "/b", "mine") || accepts(given, "GET", "/b", iam.CloudPlatform) {
		t.Error("the scopes of the fixture do not replace those of the API")
	}
	if !accepts(&world.Neighbour{Host: "a.googleapis.com"}, "GET", "/", iam.CloudPlatform) {
		t.Error("an unknown API does not accept cloud-platform")
	}
}

func accepts(to *world.Neighbour, method, path, scope string) bool {
	_, scopes := neighbour.DemandOf(to, method, path)
	return slices.Contains(scopes, scope)
}

package iam

import "slices"

// Kinds of resources of the APIs that neighbours emulate.
const (
	buckets       = "storage.buckets"
	objects       = "storage.objects"
	topics        = "pubsub.topics"
	subscriptions = "pubsub.subscriptions"
	snapshots     = "pubsub.snapshots"
	schemas       = "pubsub.schemas"
)

// viewStorage returns the permissions of a viewer of the project: its own, and the default permissions
// on every bucket (https://cloud.google.com/storage/docs/access-control/iam-roles#basic-roles).
func viewStorage() []string {
	return append(of(buckets, "get", "list"), of(objects, "get", "list")...)
}

func editStorage() []string {
	return append(of(buckets, "create", "delete", "getIamPolicy", "update"), manageObjects()...)
}

func manageObjects() []string { return of(objects, "create", "delete", "get", "list", "update") }

// storageRoles are the roles for Cloud Storage
// (https://cloud.google.com/storage/docs/access-control/iam-roles).
func storageRoles() []*Role {
	policies := of(objects, "getIamPolicy", "setIamPolicy")
	return []*Role{
		{
			Name: "roles/storage.objectViewer", Title: "Storage Object Viewer", Description: "Grants access to view objects and their metadata, excluding ACLs. Can also list the objects in a bucket.",
			Permissions: append(of(objects, "get", "list"), of(projects, "get")...),
		},
		{
			Name: "roles/storage.objectCreator", Title: "Storage Object Creator", Description: "Allows users to create objects. Does not give permission to view, delete, or overwrite objects.",
			Permissions: append(of(objects, "create"), of(projects, "get")...),
		},
		{
			Name: "roles/storage.objectUser", Title: "Storage Object User", Description: "Access to create, read, update and delete objects and multipart uploads in GCS.",
			Permissions: append(manageObjects(), of(projects, "get")...),
		},
		{
			Name: "roles/storage.objectAdmin", Title: "Storage Object Admin", Description: "Grants full control of objects, including listing, creating, viewing, and deleting objects.",
			Permissions: slices.Concat(manageObjects(), policies, of(projects, "get")),
		},
		{
			Name: "roles/storage.admin", Title: "Storage Admin", Description: "Grants full control of buckets and objects.",
			Permissions: slices.Concat(
				of(buckets, "create", "delete", "get", "getIamPolicy", "list", "setIamPolicy", "update"), manageObjects(), policies, of(projects, "get"),
			),
		},
	}
}

func viewPubSub() []string {
	return slices.Concat(of(schemas, "get", "list"), of(snapshots, "get", "list"), of(subscriptions, "get", "list"), of(topics, "get", "list"))
}

func editPubSub() []string {
	return slices.Concat(
		viewPubSub(), of(schemas, "commit", "create", "delete", "rollback", "validate"), of(snapshots, "create", "delete", "seek", "update"),
		of(subscriptions, "consume", "create", "delete", "update"),
		of(topics, "attachSubscription", "create", "delete", "detachSubscription", "publish", "update"),
	)
}

func setPubSubPolicies() []string {
	var permissions []string
	for _, kind := range []string{schemas, snapshots, subscriptions, topics} {
		permissions = append(permissions, of(kind, "getIamPolicy", "setIamPolicy")...)
	}
	return permissions
}

// pubSubRoles are the roles for Pub/Sub (https://cloud.google.com/pubsub/docs/access-control#roles).
func pubSubRoles() []*Role {
	return []*Role{
		{Name: "roles/pubsub.publisher", Title: "Pub/Sub Publisher", Description: "Provides access to publish messages to a topic.", Permissions: of(topics, "publish")},
		{
			Name: "roles/pubsub.subscriber", Title: "Pub/Sub Subscriber", Description: "Provides access to consume messages from a subscription and to attach subscriptions to a topic.",
			Permissions: slices.Concat(of(snapshots, "seek"), of(subscriptions, "consume"), of(topics, "attachSubscription")),
		},
		{Name: "roles/pubsub.viewer", Title: "Pub/Sub Viewer", Description: "Provides access to view topics and subscriptions.", Permissions: append(viewPubSub(), of(projects, "get")...)},
		{
			Name: "roles/pubsub.editor", Title: "Pub/Sub Editor", Description: "Provides access to modify topics and subscriptions, and access to publish and consume messages.",
			Permissions: append(editPubSub(), of(projects, "get")...),
		},
		{
			Name: "roles/pubsub.admin", Title: "Pub/Sub Admin", Description: "Provides full access to topics and subscriptions.",
			Permissions: slices.Concat(editPubSub(), setPubSubPolicies(), of(projects, "get")),
		},
	}
}

package main

import "gcp-metadata-emulator/scripts/benchmark/load"

// accessToken stands for an access token of the emulator in a request's target.
const accessToken = "{access_token}"

const (
	instanceAccount = "/computeMetadata/v1/instance/service-accounts/default/"
	targetAccount   = "/v1/projects/-/serviceAccounts/target@demo-project.iam.gserviceaccount.com"
)

// operation is one row of the table of throughput.
type operation struct {
	name    string
	against kind
	request load.Request
}

// operations returns all rows, in order.
func operations() []operation {
	return []operation{
		{"metadata value", constant, projectID()},
		{"recursive root", constant, metadata("/computeMetadata/v1/?recursive=true")},
		{"recursive service account", constant, metadata(instanceAccount + "?recursive=true")},
		{"access token, cached", constant, accessTokenRequest()},
		{"ID token, cached", constant, identity("https://bench.example.com")},
		{"JWKS", constant, load.Request{Method: "GET", Target: "/oauth2/v3/certs"}},
		{"certificates", constant, load.Request{Method: "GET", Target: "/oauth2/v1/certs"}},
		{"tokeninfo", constant, load.Request{Method: "GET", Target: "/tokeninfo?access_token=" + accessToken}},
		{"verified bearer", constant, load.Request{
			Method: "GET", Target: targetAccount + "/allowedLocations", Header: []string{"Authorization: Bearer " + accessToken},
		}},
		{"ID token, new audience each time", signing, identity("https://bench.example.com/" + load.Counter)},
		{"generateIdToken, new audience each time", signing, credentials("generateIdToken",
			`{"audience":"https://bench.example.com/`+load.Counter+`","includeEmail":true}`)},
		{"signBlob", signing, credentials("signBlob", `{"payload":"aGVsbG8="}`)},
	}
}

// metadata returns a request to the metadata server.
func metadata(target string) load.Request {
	return load.Request{Method: "GET", Target: target, Header: []string{"Metadata-Flavor: Google"}}
}

func projectID() load.Request {
	return metadata("/computeMetadata/v1/project/project-id")
}

func accessTokenRequest() load.Request {
	return metadata(instanceAccount + "token")
}

// identity returns a request for an ID token to the metadata server.
func identity(audience string) load.Request {
	return metadata(instanceAccount + "identity?audience=" + audience + "&format=full")
}

// credentials returns a request to the IAM Credentials API.
func credentials(method, body string) load.Request {
	return load.Request{
		Method: "POST",
		Target: targetAccount + ":" + method,
		Header: []string{"Authorization: Bearer x", "Content-Type: application/json"},
		Body:   body,
	}
}

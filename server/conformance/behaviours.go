package conformance

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Behaviours returns all behaviours, the baseline first.
func Behaviours() []Behaviour {
	const largest = 256 << 10 // of an attribute (https://cloud.google.com/compute/docs/metadata/setting-custom-metadata)
	const skew, pause = 10 * time.Minute, 2 * time.Second
	tokens := func(effect string) []json.RawMessage {
		return rules(effect, "mds.token", "mds.identity", "oauth2.token", "sts.token", "iamcredentials.generateAccessToken", "iamcredentials.generateIdToken")
	}
	metadata := func(effect string) []json.RawMessage { return rules(effect, "mds.*") }
	const soon = `"body": {"access_token": "ya29.c.expiring", "expires_in": 5, "token_type": "Bearer"}`
	noAccount := append(rules(`"status": 404`, "mds.token", "mds.identity", "iamcredentials.generateAccessToken", "iamcredentials.generateIdToken"),
		rules(`"status": 400, "body": {"error": "invalid_grant", "error_description": "Invalid grant: account not found"}`, "oauth2.token")...)
	return []Behaviour{
		{Name: Baseline, Does: "everything is as usual", Program: Succeeds, Because: "without that, nothing else can be judged"},
		{Name: "slow-start", Does: "the metadata server needs two seconds for each of the first two requests", Program: Succeeds, Faults: metadata(`"delay": "2s", "times": 2`), Because: "a machine that boots, and GKE's metadata server, need some seconds"},
		{Name: "boot", Does: "the metadata server hangs up the first two requests", Program: Succeeds, Advised: true, Faults: metadata(`"outage": "boot", "times": 2`), Because: "programs can start before the metadata server does"},
		{Name: "live-migration", Does: "the metadata server answers the first two requests with 503", Program: Succeeds, Advised: true, Faults: metadata(`"outage": "live-migration", "times": 2`), Because: "it does so while a machine moves to another host"},
		{Name: "unavailable-twice", Does: "the first two requests for a token get 503", Program: Succeeds, Faults: tokens(`"status": 503, "times": 2`), Because: "Google says to retry a 503"},
		{Name: "unavailable", Does: "every request for a token gets 503", Program: Fails, Faults: tokens(`"status": 503`), Because: "a program that waits for ever hides the failure"},
		{Name: "retry-after", Does: "the first request for a token gets 503 with Retry-After: 2", Program: Succeeds, Pause: pause, Faults: tokens(`"status": 503, "withHeader": {"Retry-After": "2"}, "times": 1`), Because: "Google says to retry a 503"},
		{Name: "error-once", Does: "the first request for a token gets 500", Program: Succeeds, Advised: true, Faults: tokens(`"status": 500, "times": 1`), Because: "Google's libraries retry after errors of a server"},
		{Name: "too-many-requests", Does: "the first request for a token gets 429", Program: Succeeds, Advised: true, Faults: tokens(`"status": 429, "times": 1`), Because: "metadata servers limit requests, and answer a moment later"},
		{Name: "hang-up", Does: "the connection of the first request for a token breaks off", Program: Succeeds, Advised: true, Faults: tokens(`"hangUp": true, "times": 1`), Because: "a migration to another host can break connections"},
		{Name: "hang-up-midway", Does: "the first answer with a token breaks off in the middle", Program: Succeeds, Advised: true, Faults: tokens(`"hangUp": "body", "times": 1`), Because: "a migration to another host can break connections"},
		{Name: "no-account", Does: "there is no service account, for any request for a token", Program: Fails, Final: true, Faults: noAccount, Because: "no retry helps"},
		{Name: "forbidden", Does: "every request for a token gets 403", Program: Fails, Final: true, Faults: tokens(`"status": 403`), Because: "no retry helps: somebody has to grant a role"},
		{Name: "half-an-answer", Does: "answers with tokens are JSON that ends early", Program: Fails, Advised: true, Faults: tokens(`"malformed": true`), Because: "an answer that cannot be read has no token"},
		{Name: "expiring-token", Does: "the first access token of the metadata server lives for five seconds", Program: Succeeds, Faults: rules(soon+`, "times": 1`, "mds.token"), Because: "a metadata server gives out a cached token until shortly before its end"},
		{Name: "short-tokens", Does: "every access token of the metadata server lives for five seconds", Program: Succeeds, Faults: rules(soon, "mds.token"), Because: "a program that wants a token with more time may wait for ever"},
		{Name: "rotated-keys", Does: "the servers sign with new keys, and the old ones are gone", Program: Succeeds, Rotates: true, Because: "Google rotates its keys, and a program must fetch them again"},
		{Name: "stale-keys", Does: "the first answer with published keys lacks the current ones", Program: Succeeds, Advised: true, Faults: append(rules(`"body": {"keys": []}, "times": 1`, "keys.jwks"), rules(`"body": {}, "times": 1`, "keys.certs")...), Because: "a cache can have the keys of before a rotation, and a program must fetch them again"},
		{Name: "keys-unavailable", Does: "the first request for published keys gets 503", Program: Succeeds, Advised: true, Faults: rules(`"status": 503, "times": 1`, "keys.jwks", "keys.certs"), Because: "Google says to retry a 503"},
		{Name: "no-flavor", Does: "answers lack Metadata-Flavor: Google", Program: Fails, Advised: true, Faults: metadata(`"withoutHeader": "Metadata-Flavor"`), Because: "such a server is not Google's"},
		{Name: "other-flavor", Does: "answers have Metadata-Flavor: Other", Program: Fails, Advised: true, Faults: metadata(`"withHeader": {"Metadata-Flavor": "Other"}`), Because: "such a server is not Google's"},
		{Name: "no-universe", Does: "the metadata server does not know its universe domain", Program: Succeeds, Faults: rules(`"match": {"path": "*/universe/*"}, "status": 404`, "mds.metadata"), Because: "older servers answer 404, which means googleapis.com"},
		{Name: "redirect", Does: "the first request for an access token is led to itself by a 307", Program: Succeeds, Advised: true, Faults: rules(`"status": 307, "location": "token", "times": 1`, "mds.token"), Because: "metadata servers redirect, at least to the name with its slash"},
		{Name: "huge-attribute", Does: "an attribute has 256 KiB", Program: Succeeds, Metadata: map[string]string{"instance/attributes/conformance-huge": strings.Repeat("0123456789abcde\n", largest/16)}, Because: "that is the limit of Google's"},
		{Name: "clock-ahead", Does: "the servers' clock is ten minutes ahead", Program: Succeeds, Advised: true, Clock: skew, Because: "clocks differ, and expires_in does not depend on them, unlike the times in ID tokens"},
		{Name: "clock-behind", Does: "the servers' clock is ten minutes behind", Program: Succeeds, Advised: true, Clock: -skew, Because: "clocks differ, and expires_in does not depend on them, unlike the times in ID tokens"},
	}
}

// rules returns a rule of package fault with the same effect for each of some routes, which count apart.
func rules(effect string, routes ...string) []json.RawMessage {
	var list []json.RawMessage
	for _, route := range routes {
		list = append(list, json.RawMessage(fmt.Sprintf(`{"route": %q, %s}`, route, effect)))
	}
	return list
}

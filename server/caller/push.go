package caller

import (
	"encoding/json"
	"time"
)

// pushed returns the body of a push request with the data of a message
// (https://cloud.google.com/pubsub/docs/push#receive_push). Pub/Sub writes some names in both
// spellings.
func pushed(m Message) []byte {
	const subscription = "projects/demo-project/subscriptions/emulator"
	published := m.Time.UTC().Format(time.RFC3339Nano)
	body, _ := json.Marshal(struct { //nolint:errchkjson // texts can be encoded
		Message      any    `json:"message"`
		Subscription string `json:"subscription"`
	}{
		Message: struct {
			Attributes   map[string]string `json:"attributes"`
			Data         []byte            `json:"data"`
			MessageID    string            `json:"messageId"`
			MessageID2   string            `json:"message_id"` //nolint:tagliatelle // Pub/Sub's name
			PublishTime  string            `json:"publishTime"`
			PublishTime2 string            `json:"publish_time"` //nolint:tagliatelle // Pub/Sub's name
		}{map[string]string{}, append([]byte{}, m.Body...), taskName, taskName, published, published},
		Subscription: subscription,
	})
	return body
}

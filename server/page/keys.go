package page

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// key is a signing key.
type key struct {
	ID        string    `json:"kid"`
	Use       string    `json:"use"`
	State     string    `json:"state"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
}

// keyList is the answer of control.keys.list.
type keyList struct {
	Keys []key `json:"keys"`
}

// signing holds the data of the page of keys.
type signing struct {
	keyList

	Base string // the URL below which the keys are published
}

func loadKeys(v *visit) any {
	return signing{get[keyList](v, "control.keys.list"), readEnvironment(v).Base()}
}

func keyActs() map[string]act {
	return map[string]act{"rotate": {said: "Other keys sign from now on.", op: rotate}}
}

func rotate(form url.Values) (Operation, error) {
	body := map[string]any{}
	if keep := form.Get("keep"); keep != "" {
		if _, err := strconv.ParseUint(keep, 10, 31); err != nil {
			return Operation{}, fmt.Errorf("%q is not a number of keys", keep)
		}
		body["keep"] = json.Number(keep)
	}
	return Operation{Name: "control.keys.rotate", Body: body}, nil
}

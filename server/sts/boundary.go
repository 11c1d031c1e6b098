package sts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"gcp-metadata-emulator/server/oauthapi"
)

// options are what a request says besides the parameters of RFC 8693.
type options struct {
	UserProject         string          `json:"userProject"`
	AccessBoundary      json.RawMessage `json:"accessBoundary"`
	BindCertFingerprint string          `json:"bindCertFingerprint"`
}

// accessBoundary is the upper bound of what a token may do
// (https://cloud.google.com/iam/docs/downscoping-short-lived-credentials#components-rules).
type accessBoundary struct {
	Rules []struct {
		AvailableResource     string   `json:"availableResource"`
		AvailablePermissions  []string `json:"availablePermissions"`
		AvailabilityCondition *struct {
			Title       string `json:"title"`
			Description string `json:"description"`
			Expression  string `json:"expression"`
		} `json:"availabilityCondition"`
	} `json:"accessBoundaryRules"`
}

// readBoundary reads the access boundary in the options of a request, JSON that some clients
// escape once more; nil where there is none.
func readBoundary(text string) (json.RawMessage, error) {
	if text == "" {
		return nil, nil
	}
	if unescaped, err := url.PathUnescape(text); err == nil && strings.HasPrefix(text, "%") {
		text = unescaped
	}
	var asked options
	if !decode(text, &asked) {
		return nil, oauthapi.NewError(oauthapi.InvalidRequest, `Invalid value for "options". This value should be a JSON object.`)
	}
	if len(asked.AccessBoundary) == 0 || string(asked.AccessBoundary) == "null" {
		return nil, nil
	}
	var boundary accessBoundary
	problem := "it is no access boundary"
	if decode(string(asked.AccessBoundary), &boundary) {
		problem = boundary.problem()
	}
	if problem != "" {
		return nil, oauthapi.NewError(oauthapi.InvalidRequest, `Invalid value for "options.accessBoundary": `+problem+".")
	}
	var short bytes.Buffer
	_ = json.Compact(&short, asked.AccessBoundary) // it is JSON
	return short.Bytes(), nil
}

// decode reads JSON in which nothing is unknown.
func decode(text string, into any) bool {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	return json.Valid([]byte(text)) && strings.HasPrefix(strings.TrimSpace(text), "{") && decoder.Decode(into) == nil
}

// problem says what is wrong with a boundary.
func (b accessBoundary) problem() string {
	const most = 10
	if len(b.Rules) == 0 || len(b.Rules) > most {
		return fmt.Sprintf("it has %d rules, where 1 to %d are allowed", len(b.Rules), most)
	}
	for i, rule := range b.Rules {
		bucket, ok := strings.CutPrefix(rule.AvailableResource, "//storage.googleapis.com/projects/_/buckets/")
		switch {
		case !ok || bucket == "" || strings.Contains(bucket, "/"):
			return fmt.Sprintf("the availableResource of rule %d is no //storage.googleapis.com/projects/_/buckets/BUCKET", i)
		case len(rule.AvailablePermissions) == 0:
			return fmt.Sprintf("rule %d has no availablePermissions", i)
		case rule.AvailabilityCondition != nil && rule.AvailabilityCondition.Expression == "":
			return fmt.Sprintf("the availabilityCondition of rule %d has no expression", i)
		}
		for _, permission := range rule.AvailablePermissions {
			if role, ok := strings.CutPrefix(permission, "inRole:"); !ok || role == "" {
				return fmt.Sprintf("permission %q of rule %d is no inRole:ROLE", permission, i)
			}
		}
	}
	return ""
}

package sts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"gcp-metadata-emulator/server/oauthapi"
)

// options holds the parameter "options", which Google adds to the parameters of RFC 8693.
type options struct {
	UserProject         string          `json:"userProject"`
	AccessBoundary      json.RawMessage `json:"accessBoundary"`
	BindCertFingerprint string          `json:"bindCertFingerprint"`
}

// accessBoundary limits the permissions of a token
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

// readBoundary reads the access boundary in the parameter "options". If there is none, it returns
// nil. The parameter is JSON. Some clients percent-encode it a second time.
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
	problem := "it is not an access boundary"
	if decode(string(asked.AccessBoundary), &boundary) {
		problem = boundary.problem()
	}
	if problem != "" {
		return nil, oauthapi.NewError(oauthapi.InvalidRequest, `Invalid value for "options.accessBoundary": `+problem+".")
	}
	var short bytes.Buffer
	_ = json.Compact(&short, asked.AccessBoundary) // it is valid JSON
	return short.Bytes(), nil
}

// decode reads a JSON object, and reports false for an object with unknown members.
func decode(text string, into any) bool {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	return json.Valid([]byte(text)) && strings.HasPrefix(strings.TrimSpace(text), "{") && decoder.Decode(into) == nil
}

// problem returns the first mistake in the boundary, or "" if it is valid.
func (b accessBoundary) problem() string {
	const most = 10
	if len(b.Rules) == 0 || len(b.Rules) > most {
		return fmt.Sprintf("it has %d rules, but 1 to %d are allowed", len(b.Rules), most)
	}
	for i, rule := range b.Rules {
		bucket, ok := strings.CutPrefix(rule.AvailableResource, "//storage.googleapis.com/projects/_/buckets/")
		switch {
		case !ok || bucket == "" || strings.Contains(bucket, "/"):
			return fmt.Sprintf("the availableResource of rule %d is not of the form //storage.googleapis.com/projects/_/buckets/BUCKET", i)
		case len(rule.AvailablePermissions) == 0:
			return fmt.Sprintf("rule %d has no availablePermissions", i)
		case rule.AvailabilityCondition != nil && rule.AvailabilityCondition.Expression == "":
			return fmt.Sprintf("the availabilityCondition of rule %d has no expression", i)
		}
		for _, permission := range rule.AvailablePermissions {
			if role, ok := strings.CutPrefix(permission, "inRole:"); !ok || role == "" {
				return fmt.Sprintf("permission %q of rule %d is not of the form inRole:ROLE", permission, i)
			}
		}
	}
	return ""
}

// Package awsrequest verifies the requests by which workloads of AWS prove their identity: requests
// for GetCallerIdentity that they have signed and do not send themselves
// (https://cloud.google.com/iam/docs/workload-identity-federation-with-other-clouds).
//
// Google sends such a request to AWS. This package plays AWS: it knows the access keys of the
// fixture, and checks the signature with them. It does not know pools, or the words of refusals.
package awsrequest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"gcp-metadata-emulator/fixtures"
)

// The reasons for which a request is refused.
var (
	ErrForm      = errors.New("the request is malformed")
	ErrTarget    = errors.New("the request is for another provider")
	ErrTime      = errors.New("the request is too old, or from the future")
	ErrKey       = errors.New("the access key is not in the fixture")
	ErrSignature = errors.New("the signature does not fit the request")
	ErrAccount   = errors.New("the access key belongs to another account")
)

// window is how far the time of a request may be from the present, as AWS allows.
const window = 15 * time.Minute

// The header fields that matter here.
const (
	authorization = "Authorization"
	dateField     = "X-Amz-Date"
	tokenField    = "X-Amz-Security-Token"
	targetField   = "X-Goog-Cloud-Target-Resource"
	hostField     = "Host"
)

// Expectation holds the expected values of a request.
type Expectation struct {
	Target   string // the full resource name of the provider
	Provider fixtures.AWSProvider
	Now      time.Time
}

// Caller verifies a request, as a client writes it in a subject token, and returns the access key
// of its signature. The error wraps one of the reasons of this package.
func Caller(ctx context.Context, subject string, want Expectation) (fixtures.AWSAccessKey, error) {
	r, err := parse(subject)
	if err != nil {
		return fixtures.AWSAccessKey{}, err
	}
	if target := r.header.Get(targetField); strings.TrimPrefix(target, "https:") != want.Target {
		return fixtures.AWSAccessKey{}, fmt.Errorf("%w: its x-goog-cloud-target-resource is %q", ErrTarget, target)
	}
	if r.signed.Before(want.Now.Add(-window)) || r.signed.After(want.Now.Add(window)) {
		return fixtures.AWSAccessKey{}, fmt.Errorf("%w: its x-amz-date is %s", ErrTime, r.signed.Format(dateForm))
	}
	at := slices.IndexFunc(want.Provider.AccessKeys, func(key fixtures.AWSAccessKey) bool { return key.ID == r.scope.keyID })
	if at < 0 {
		return fixtures.AWSAccessKey{}, fmt.Errorf("%w: %q", ErrKey, r.scope.keyID)
	}
	key := want.Provider.AccessKeys[at]
	if err := r.verify(ctx, key); err != nil {
		return fixtures.AWSAccessKey{}, err
	}
	if key.Account() != want.Provider.AccountID {
		return fixtures.AWSAccessKey{}, fmt.Errorf("%w: %q, not %q", ErrAccount, key.Account(), want.Provider.AccountID)
	}
	return key, nil
}

// request is a request for GetCallerIdentity in the right form.
type request struct {
	host      string
	query     string
	header    http.Header
	signed    time.Time
	scope     scope
	fields    []string // the header fields that the signature covers, in lower case
	signature string
}

// serialized is a request as clients write it.
type serialized struct {
	URL     string `json:"url"`
	Method  string `json:"method"`
	Body    string `json:"body"`
	Headers []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	} `json:"headers"`
}

// parse reads a subject token: a request in JSON, percent-encoded.
func parse(subject string) (*request, error) {
	if text, err := url.QueryUnescape(subject); err == nil && !strings.HasPrefix(subject, "{") {
		subject = text
	}
	var message serialized
	if err := json.Unmarshal([]byte(subject), &message); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	header, err := message.header()
	if err != nil {
		return nil, err
	}
	r := &request{header: header}
	if err := r.readURL(message); err != nil {
		return nil, err
	}
	return r, r.readSignature()
}

// header returns the header of the request. If a field is there twice, its value is ambiguous.
func (s serialized) header() (http.Header, error) {
	header := http.Header{}
	for _, field := range s.Headers {
		if header.Get(field.Key) != "" {
			return nil, fmt.Errorf("%w: header field %q is there twice", ErrForm, field.Key)
		}
		header.Set(field.Key, strings.TrimSpace(field.Value))
	}
	for _, name := range []string{authorization, dateField, targetField, hostField} {
		if header.Get(name) == "" {
			return nil, fmt.Errorf("%w: header field %q is missing", ErrForm, strings.ToLower(name))
		}
	}
	return header, nil
}

// readURL checks that the request is a POST for GetCallerIdentity to the Security Token Service of
// AWS, and nothing else.
func (r *request) readURL(message serialized) error {
	target, err := url.Parse(message.URL)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrForm, err)
	}
	query, err := url.ParseQuery(target.RawQuery)
	switch {
	case message.Method != http.MethodPost || message.Body != "":
		return fmt.Errorf("%w: it is not a POST without a body", ErrForm)
	case target.Scheme != "https" || target.User != nil || target.Fragment != "" || strings.Trim(target.Path, "/") != "":
		return fmt.Errorf("%w: its URL is not https://sts.REGION.amazonaws.com", ErrForm)
	case err != nil || query.Encode() != "Action=GetCallerIdentity&Version=2011-06-15":
		return fmt.Errorf("%w: the query of its URL is not Action=GetCallerIdentity&Version=2011-06-15", ErrForm)
	case r.header.Get(hostField) != target.Host:
		return fmt.Errorf("%w: its host is %q, and that of its URL %q", ErrForm, r.header.Get(hostField), target.Host)
	}
	r.host, r.query = target.Host, target.RawQuery
	return nil
}

const dateForm = "20060102T150405Z"

// readSignature takes the Authorization field and the date apart.
func (r *request) readSignature() error {
	var err error
	if r.signed, err = time.Parse(dateForm, r.header.Get(dateField)); err != nil {
		return fmt.Errorf("%w: its x-amz-date %q is not like %s", ErrForm, r.header.Get(dateField), dateForm)
	}
	parts, err := parseAuthorization(r.header.Get(authorization))
	if err != nil {
		return err
	}
	if r.scope, err = parseScope(parts["Credential"]); err != nil {
		return err
	}
	r.signature, r.fields = parts["Signature"], strings.Split(parts["SignedHeaders"], ";")
	if r.scope.date != r.signed.Format("20060102") {
		return fmt.Errorf("%w: its credential is for %q, and its x-amz-date is %q", ErrForm, r.scope.date, r.header.Get(dateField))
	}
	if region, ok := regionOf(r.host); !ok || region != r.scope.region {
		return fmt.Errorf("%w: host %q is not the Security Token Service of region %q", ErrForm, r.host, r.scope.region)
	}
	return r.checkFields()
}

// checkFields checks that the signature covers all fields that AWS demands: the host, and every
// field of AWS's own.
func (r *request) checkFields() error {
	for name := range r.header {
		lower := strings.ToLower(name)
		if (name == hostField || strings.HasPrefix(lower, "x-amz-")) && !slices.Contains(r.fields, lower) {
			return fmt.Errorf("%w: header field %q is not signed", ErrForm, lower)
		}
	}
	return nil
}

// regionOf returns the region of a host of AWS's Security Token Service. The host without a region
// is in us-east-1.
func regionOf(host string) (string, bool) {
	const global = "sts.amazonaws.com"
	if host == global {
		return "us-east-1", true
	}
	region, ok := strings.CutPrefix(strings.TrimSuffix(host, ".amazonaws.com"), "sts.")
	return region, ok && strings.HasSuffix(host, ".amazonaws.com") && region != "" && !strings.Contains(region, ".")
}

// verify signs the request again with an access key and compares the signatures.
func (r *request) verify(ctx context.Context, key fixtures.AWSAccessKey) error {
	token := r.header.Get(tokenField)
	if subtle.ConstantTimeCompare([]byte(token), []byte(key.SessionToken)) == 0 {
		return fmt.Errorf("%w: its session token is not that of access key %q", ErrSignature, key.ID)
	}
	again := &http.Request{
		Method: http.MethodPost, Host: r.host, Header: http.Header{},
		URL: &url.URL{Scheme: "https", Host: r.host, RawQuery: r.query},
	}
	for _, name := range r.fields {
		if http.CanonicalHeaderKey(name) != hostField {
			again.Header.Set(name, r.header.Get(name))
		}
	}
	credentials := aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret, SessionToken: key.SessionToken}
	empty := sha256.Sum256(nil)
	err := v4.NewSigner().SignHTTP(ctx, credentials, again, hex.EncodeToString(empty[:]), service, r.scope.region, r.signed)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	parts, err := parseAuthorization(again.Header.Get(authorization))
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(parts["Signature"]), []byte(r.signature)) == 0 {
		return fmt.Errorf("%w: the secret of access key %q makes another one", ErrSignature, key.ID)
	}
	return nil
}

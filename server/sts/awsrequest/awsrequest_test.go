package awsrequest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/sts/awsrequest"
)

const (
	target  = "//iam.googleapis.com/projects/7/locations/global/workloadIdentityPools/pool/providers/prov"
	account = "123456789012"
	keyID   = "AKIAIOSFODNN7EXAMPLE"
	secret  = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func now() time.Time { return time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC) }

func expectation() awsrequest.Expectation {
	role := "arn:aws:sts::" + account + ":assumed-role/worker/session"
	return awsrequest.Expectation{
		Target: target, Now: now(),
		Provider: fixtures.AWSProvider{AccountID: account, AccessKeys: []fixtures.AWSAccessKey{
			{ID: keyID, Secret: secret, ARN: role},
			{ID: "ASIASESSION", Secret: secret, SessionToken: "session+token/==", ARN: role},
			{ID: "AKIASTRANGER", Secret: secret, ARN: "arn:aws:iam::999999999999:user/eve"},
		}},
	}
}

// message is a request as clients write it. Tests change it before or after it is signed.
type message struct {
	URL     string  `json:"url"`
	Method  string  `json:"method"`
	Body    string  `json:"body,omitempty"`
	Headers []field `json:"headers"`
}

type field struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// signing is how a test signs a request.
type signing struct {
	host, region, query string
	keyID, secret       string
	token               string
	at                  time.Time
	target              string
}

func standard() signing {
	return signing{
		host: "sts.us-east-2.amazonaws.com", region: "us-east-2", query: "Action=GetCallerIdentity&Version=2011-06-15",
		keyID: keyID, secret: secret, at: now(), target: target,
	}
}

func (s signing) message(t *testing.T) message {
	t.Helper()
	request := &http.Request{
		Method: http.MethodPost, Host: s.host, Header: http.Header{"X-Goog-Cloud-Target-Resource": {s.target}},
		URL: &url.URL{Scheme: "https", Host: s.host, RawQuery: s.query},
	}
	empty := sha256.Sum256(nil)
	credentials := aws.Credentials{AccessKeyID: s.keyID, SecretAccessKey: s.secret, SessionToken: s.token}
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, request, hex.EncodeToString(empty[:]), "sts", s.region, s.at); err != nil {
		t.Fatal(err)
	}
	m := message{URL: "https://" + s.host + "?" + s.query, Method: http.MethodPost, Headers: []field{{"host", s.host}}}
	for name, values := range request.Header {
		m.Headers = append(m.Headers, field{strings.ToLower(name), values[0]})
	}
	return m
}

func (m message) set(name string, change func(string) string) message {
	m.Headers = slices.Clone(m.Headers)
	for i, f := range m.Headers {
		if f.Key == name {
			m.Headers[i].Value = change(f.Value)
		}
	}
	return m
}

func (m message) without(name string) message {
	m.Headers = slices.DeleteFunc(slices.Clone(m.Headers), func(f field) bool { return f.Key == name })
	return m
}

func (m message) encoded(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return url.QueryEscape(string(text))
}

// signatureOfGoogleAuth is what google.auth.aws.RequestSigner writes for the request of the next test.
const signatureOfGoogleAuth = "e6cab7cab42e533b1881ee427f17075eaef49f2049d5a7e3cdd368da660165f3"

// The signature of a request that Python's google-auth has signed is taken: the library signs
// neither with this test's signer, nor the field x-goog-cloud-target-resource.
func TestRequestOfGoogleAuth(t *testing.T) {
	t.Parallel()
	m := message{
		URL: "https://sts.us-east-2.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15", Method: "POST",
		Headers: []field{
			{"host", "sts.us-east-2.amazonaws.com"},
			{"x-amz-date", "20261129T120000Z"},
			{"Authorization", "AWS4-HMAC-SHA256 Credential=" + keyID + "/20261129/us-east-2/sts/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + signatureOfGoogleAuth},
			{"x-goog-cloud-target-resource", target},
		},
	}
	if key, err := awsrequest.Caller(t.Context(), m.encoded(t), expectation()); err != nil || key.ID != keyID {
		t.Errorf("%v, %v", key.ID, err)
	}
}

func TestCaller(t *testing.T) {
	t.Parallel()
	signed := func(change func(*signing)) message {
		s := standard()
		change(&s)
		return s.message(t)
	}
	good := standard().message(t)
	other := func(string) string { return "other" }
	replaced := func(before, after string) func(string) string {
		return func(value string) string { return strings.ReplaceAll(value, before, after) }
	}
	edited := func(change func(*message)) message {
		m := good
		change(&m)
		return m
	}
	for name, test := range map[string]struct {
		message message
		want    error
	}{
		"good":                   {good, nil},
		"https target":           {signed(func(s *signing) { s.target = "https:" + target }), nil},
		"the host of no region":  {signed(func(s *signing) { s.host, s.region = "sts.amazonaws.com", "us-east-1" }), nil},
		"a query in other order": {signed(func(s *signing) { s.query = "Version=2011-06-15&Action=GetCallerIdentity" }), nil},
		"a session":              {signed(func(s *signing) { s.keyID, s.token = "ASIASESSION", "session+token/==" }), nil},
		"14 minutes old":         {signed(func(s *signing) { s.at = now().Add(-14 * time.Minute) }), nil},
		"14 minutes ahead":       {signed(func(s *signing) { s.at = now().Add(14 * time.Minute) }), nil},

		"16 minutes old":             {signed(func(s *signing) { s.at = now().Add(-16 * time.Minute) }), awsrequest.ErrTime},
		"16 minutes ahead":           {signed(func(s *signing) { s.at = now().Add(16 * time.Minute) }), awsrequest.ErrTime},
		"another target":             {signed(func(s *signing) { s.target = target + "2" }), awsrequest.ErrTarget},
		"another account":            {signed(func(s *signing) { s.keyID = "AKIASTRANGER" }), awsrequest.ErrAccount},
		"an unknown key":             {signed(func(s *signing) { s.keyID = "AKIANOBODY" }), awsrequest.ErrKey},
		"another secret":             {signed(func(s *signing) { s.secret = "x" }), awsrequest.ErrSignature},
		"a session without token":    {signed(func(s *signing) { s.keyID = "ASIASESSION" }), awsrequest.ErrSignature},
		"a session's other token":    {signed(func(s *signing) { s.keyID, s.token = "ASIASESSION", "x" }), awsrequest.ErrSignature},
		"a token where none is due":  {signed(func(s *signing) { s.token = "session+token/==" }), awsrequest.ErrSignature},
		"another signature":          {good.set("authorization", func(value string) string { return value[:len(value)-64] + strings.Repeat("0", 64) }), awsrequest.ErrSignature},
		"an empty signature":         {good.set("authorization", func(value string) string { return value[:len(value)-64] }), awsrequest.ErrForm},
		"another date, signed":       {good.set("x-amz-date", replaced("T120000Z", "T120001Z")), awsrequest.ErrSignature},
		"a field that is not signed": {edited(func(m *message) { m.Headers = append(m.Headers, field{"x-amz-security-token", "t"}) }), awsrequest.ErrForm},
		"the host not signed":        {good.set("authorization", replaced("host;", "")), awsrequest.ErrForm},

		"another region":                  {signed(func(s *signing) { s.region = "us-east-1" }), awsrequest.ErrForm},
		"another service":                 {good.set("authorization", replaced("/sts/", "/s3/")), awsrequest.ErrForm},
		"another day":                     {good.set("x-amz-date", replaced("20261129", "20261128")), awsrequest.ErrForm},
		"a date of no form":               {good.set("x-amz-date", other), awsrequest.ErrForm},
		"another algorithm":               {good.set("authorization", replaced("SHA256", "SHA1")), awsrequest.ErrForm},
		"a bearer token":                  {good.set("authorization", other), awsrequest.ErrForm},
		"two signatures":                  {good.set("authorization", func(value string) string { return value + ", Signature=x" }), awsrequest.ErrForm},
		"a further part":                  {good.set("authorization", func(value string) string { return value + ", X=y" }), awsrequest.ErrForm},
		"no date":                         {good.without("x-amz-date"), awsrequest.ErrForm},
		"no target":                       {good.without("x-goog-cloud-target-resource"), awsrequest.ErrForm},
		"no host":                         {good.without("host"), awsrequest.ErrForm},
		"no authorization":                {good.without("authorization"), awsrequest.ErrForm},
		"two targets":                     {edited(func(m *message) { m.Headers = append(m.Headers, field{"X-Goog-Cloud-Target-Resource", target}) }), awsrequest.ErrForm},
		"GET":                             {edited(func(m *message) { m.Method = http.MethodGet }), awsrequest.ErrForm},
		"a body":                          {edited(func(m *message) { m.Body = "Action=AssumeRole" }), awsrequest.ErrForm},
		"http":                            {edited(func(m *message) { m.URL = strings.Replace(m.URL, "https", "http", 1) }), awsrequest.ErrForm},
		"a path":                          {edited(func(m *message) { m.URL = strings.Replace(m.URL, "?", "/x?", 1) }), awsrequest.ErrForm},
		"a user":                          {edited(func(m *message) { m.URL = strings.Replace(m.URL, "://", "://u@", 1) }), awsrequest.ErrForm},
		"no URL":                          {edited(func(m *message) { m.URL = "\x7f" }), awsrequest.ErrForm},
		"another host in URL":             {edited(func(m *message) { m.URL = strings.Replace(m.URL, "us-east-2", "us-east-1", 1) }), awsrequest.ErrForm},
		"another action":                  {signed(func(s *signing) { s.query = "Action=GetSessionToken&Version=2011-06-15" }), awsrequest.ErrForm},
		"a further parameter":             {signed(func(s *signing) { s.query += "&X=y" }), awsrequest.ErrForm},
		"a parameter that cannot be read": {signed(func(s *signing) { s.query += "&%zz=1" }), awsrequest.ErrForm},
		"a semicolon":                     {signed(func(s *signing) { s.query += "&X=y;Z" }), awsrequest.ErrForm},
		"a host of others":                {signed(func(s *signing) { s.host = "sts.us-east-2.amazonaws.com.evil.example" }), awsrequest.ErrForm},
		"a host of no region":             {signed(func(s *signing) { s.host = "sts..amazonaws.com" }), awsrequest.ErrForm},
		"another API of AWS":              {signed(func(s *signing) { s.host = "s3.us-east-2.amazonaws.com" }), awsrequest.ErrForm},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := awsrequest.Caller(t.Context(), test.message.encoded(t), expectation())
			if !errors.Is(err, test.want) || test.want == nil && err != nil {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			if (err == nil) != (key.ID != "") {
				t.Errorf("key %q and error %v", key.ID, err)
			}
		})
	}
}

// Clients write the request percent-encoded in several ways, or as it is.
func TestEncodings(t *testing.T) {
	t.Parallel()
	encoded := standard().message(t).encoded(t)
	plain, err := url.QueryUnescape(encoded)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"plus for space": encoded, "%20 for space": strings.ReplaceAll(encoded, "+", "%20"), "bare": plain,
	} {
		if _, err := awsrequest.Caller(t.Context(), text, expectation()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "{", "%", "null", "[]", `{"headers": {}}`, encoded[:100]} {
		if _, err := awsrequest.Caller(t.Context(), text, expectation()); !errors.Is(err, awsrequest.ErrForm) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

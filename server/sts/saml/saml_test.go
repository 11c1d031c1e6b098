package saml_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/google/go-cmp/cmp"
	dsig "github.com/russellhaering/goxmldsig"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/sts/saml"
)

const (
	entity   = "https://idp.example.com/metadata"
	audience = "https://iam.googleapis.com/projects/7/locations/global/workloadIdentityPools/pool/providers/prov"
)

func now() time.Time { return time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC) }

// idp is an identity provider of a test.
type idp struct {
	key         *rsa.PrivateKey
	certificate *x509.Certificate
}

func newIDP(t testing.TB) idp {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return idp{key, certify(t, key.Public(), key)}
}

func certify(t testing.TB, public, key any) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"},
		NotBefore: now().Add(-time.Hour), NotAfter: now().Add(365 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func (i idp) expectation() saml.Expectation {
	return saml.Expectation{
		Trust:      fixtures.SAMLTrust{EntityID: entity, Certificates: []*x509.Certificate{i.certificate}},
		IsAudience: func(text string) bool { return text == audience }, Now: now(), Skew: time.Minute,
	}
}

// assertion is a valid assertion that is not signed yet.
const assertion = `<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_a1" Version="2.0" IssueInstant="2026-11-29T12:00:00Z">` +
	`<saml:Issuer>` + entity + `</saml:Issuer>` +
	`<saml:Subject><saml:NameID>dev@example.com</saml:NameID>` +
	`<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">` +
	`<saml:SubjectConfirmationData NotOnOrAfter="2026-11-29T12:05:00Z" Recipient="https://sts.googleapis.com/v1/token"/>` +
	`</saml:SubjectConfirmation></saml:Subject>` +
	`<saml:Conditions NotBefore="2026-11-29T11:59:00Z" NotOnOrAfter="2026-11-29T12:30:00Z">` +
	`<saml:AudienceRestriction><saml:Audience>` + audience + `</saml:Audience></saml:AudienceRestriction></saml:Conditions>` +
	`<saml:AuthnStatement AuthnInstant="2026-11-29T12:00:00Z" SessionNotOnOrAfter="2026-11-29T12:20:00Z"/>` +
	`<saml:AttributeStatement>` +
	`<saml:Attribute Name="groups"><saml:AttributeValue>a</saml:AttributeValue><saml:AttributeValue>b</saml:AttributeValue></saml:Attribute>` +
	`<saml:Attribute Name="team"><saml:AttributeValue>core</saml:AttributeValue></saml:Attribute>` +
	`</saml:AttributeStatement></saml:Assertion>`

// response begins and ends a response.
const (
	responseBegin = `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_r1" Version="2.0">` +
		`<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>`
	responseEnd = `</samlp:Response>`
)

func response(content string) string { return responseBegin + content + responseEnd }

// signed returns a document whose root has a signature of the identity provider.
func (i idp) signed(t testing.TB, text string) string {
	t.Helper()
	return i.signedWith(t, text, dsig.RSASHA256SignatureMethod)
}

// signedWith does the same as signed, with the method of an algorithm.
func (i idp) signedWith(t testing.TB, text, method string) string {
	t.Helper()
	document := etree.NewDocument()
	if err := document.ReadFromString(text); err != nil {
		t.Fatal(err)
	}
	context, err := dsig.NewSigningContext(i.key, [][]byte{i.certificate.Raw})
	if err != nil {
		t.Fatal(err)
	}
	context.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	if err := context.SetSignatureMethod(method); err != nil {
		t.Fatal(err)
	}
	root, err := context.SignEnveloped(document.Root())
	if err != nil {
		t.Fatal(err)
	}
	document.SetRoot(root)
	written, err := document.WriteToString()
	if err != nil {
		t.Fatal(err)
	}
	return written
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// An assertion is signed itself, in a response or without one, or with its response.
func TestRead(t *testing.T) {
	t.Parallel()
	i := newIDP(t)
	want := saml.Assertion{
		Subject: "dev@example.com", Expires: time.Date(2026, 11, 29, 12, 20, 0, 0, time.UTC),
		Attributes: map[string][]string{"groups": {"a", "b"}, "team": {"core"}},
	}
	for name, token := range map[string]string{
		"an assertion":             encoded(i.signed(t, assertion)),
		"a response with one":      encoded(response(i.signed(t, assertion))),
		"a signed response":        encoded(i.signed(t, response(assertion))),
		"both signed":              encoded(i.signed(t, response(i.signed(t, assertion)))),
		"base64 in lines":          strings.Join(strings.SplitAfterN(encoded(i.signed(t, assertion)), "P", 4), "\n") + "\n",
		"base64 without padding":   strings.TrimRight(encoded(i.signed(t, assertion)), "="),
		"an inherited declaration": encoded(strings.Replace(response(i.signed(t, assertion)), "<samlp:Response ", `<samlp:Response xmlns:x="urn:x" `, 1)),
	} {
		got, err := saml.Read(token, i.expectation())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	i, other := newIDP(t), newIDP(t)
	edited := func(before, after string) string {
		t.Helper()
		if !strings.Contains(assertion, before) {
			t.Fatalf("the assertion has no %q", before)
		}
		return i.signed(t, strings.Replace(assertion, before, after, 1))
	}
	good := i.signed(t, assertion)
	for name, test := range map[string]struct {
		document string
		want     error
	}{
		"not signed":             {assertion, saml.ErrSignature},
		"a response, not signed": {response(assertion), saml.ErrSignature},
		"signed by another":      {other.signed(t, assertion), saml.ErrSignature},
		"changed afterwards":     {strings.Replace(good, "dev@", "root@", 1), saml.ErrSignature},
		"another issuer":         {edited(entity, entity+"2"), saml.ErrIssuer},
		"no issuer":              {edited("<saml:Issuer>"+entity+"</saml:Issuer>", ""), saml.ErrForm},
		"another audience":       {edited(audience, audience+"2"), saml.ErrAudience},
		"two audiences needed": {
			edited("</saml:Conditions>", "<saml:AudienceRestriction><saml:Audience>x</saml:Audience></saml:AudienceRestriction></saml:Conditions>"),
			saml.ErrAudience,
		},
		"any audience": {
			edited("<saml:AudienceRestriction><saml:Audience>"+audience+"</saml:Audience></saml:AudienceRestriction>", ""), saml.ErrAudience,
		},
		"not yet":                  {edited("11:59:00Z", "12:01:01Z"), saml.ErrTime},
		"expired":                  {edited("12:30:00Z", "11:59:00Z"), saml.ErrTime},
		"a session that has ended": {edited("12:20:00Z", "11:59:00Z"), saml.ErrTime},
		"confirmed too long ago":   {edited("12:05:00Z", "11:59:00Z"), saml.ErrTime},
		"no end":                   {edited(` NotOnOrAfter="2026-11-29T12:30:00Z"`, ""), saml.ErrForm},
		"a time of no form":        {edited("2026-11-29T12:30:00Z", "tomorrow"), saml.ErrForm},
		"not a bearer":             {edited("cm:bearer", "cm:holder-of-key"), saml.ErrForm},
		"no subject":               {edited("<saml:NameID>dev@example.com</saml:NameID>", ""), saml.ErrForm},
		"a failure":                {i.signed(t, strings.Replace(response(assertion), "status:Success", "status:Requester", 1)), saml.ErrForm},
		"two assertions":           {i.signed(t, response(assertion+assertion)), saml.ErrForm},
		"an encrypted assertion":   {i.signed(t, response(`<saml:EncryptedAssertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"/>`)), saml.ErrForm},
		"no assertion":             {i.signed(t, response("")), saml.ErrForm},
		"a document type":          {`<!DOCTYPE x [<!ENTITY e "x">]>` + good, saml.ErrForm},
		"another document":         {i.signed(t, `<x ID="_x"/>`), saml.ErrForm},
		"SAML 1":                   {i.signed(t, strings.ReplaceAll(assertion, "SAML:2.0:assertion", "SAML:1.0:assertion")), saml.ErrForm},
		"no XML":                   {"x", saml.ErrForm},
		"nothing":                  {"", saml.ErrForm},
	} {
		got, err := saml.Read(encoded(test.document), i.expectation())
		if !errors.Is(err, test.want) || got.Subject != "" {
			t.Errorf("%s: %+v, %v, want %v", name, got, err, test.want)
		}
	}
	if _, err := saml.Read("%", i.expectation()); !errors.Is(err, saml.ErrForm) {
		t.Errorf("a token that is not base64: %v", err)
	}
	late := i.expectation()
	late.Now = i.certificate.NotAfter.Add(time.Hour)
	if _, err := saml.Read(encoded(good), late); !errors.Is(err, saml.ErrSignature) {
		t.Errorf("a certificate that has expired: %v", err)
	}
}

// Whoever has one signed assertion can move it within a document of their own, so that a careless
// reader verifies it and reads another one (https://www.usenix.org/conference/usenixsecurity12, "On
// Breaking SAML"). No such document is read as anything but what was signed.
func TestSignatureWrapping(t *testing.T) {
	t.Parallel()
	i := newIDP(t)
	good := i.signed(t, assertion)
	begin, end := strings.Index(good, "<ds:Signature"), strings.Index(good, "</ds:Signature>")+len("</ds:Signature>")
	signature, unsigned := good[begin:end], good[:begin]+good[end:]
	evil := strings.Replace(unsigned, "dev@example.com", "root@example.com", 1)
	evilOther := strings.Replace(evil, `ID="_a1"`, `ID="_evil"`, 1)
	closing := "</saml:Assertion>"
	within := func(outer, inner string) string { return strings.TrimSuffix(outer, closing) + inner + closing }
	inSignature := func(content string) string {
		return strings.Replace(signature, "</ds:Signature>", "<ds:Object>"+content+"</ds:Object></ds:Signature>", 1)
	}
	for name, document := range map[string]string{
		"evil before good":                         response(evilOther + good),
		"evil after good":                          response(good + evilOther),
		"good in extensions, evil read":            response("<samlp:Extensions>" + good + "</samlp:Extensions>" + evilOther),
		"good in extensions, evil of the same ID":  response("<samlp:Extensions>" + good + "</samlp:Extensions>" + evil),
		"evil with the good signature":             response(within(evilOther, signature)),
		"evil of the same ID, good signature":      response(within(evil, signature)),
		"good within the evil signature":           response(within(evilOther, inSignature(unsigned))),
		"good within the signature of the same ID": response(within(evil, inSignature(unsigned))),
		"good within evil":                         response(within(evilOther, good)),
		"good within evil of the same ID":          response(within(evil, good)),
		"evil around, as the root":                 within(evilOther, good),
		"evil root of the same ID":                 within(evil, good),
		"the signature beside the assertion":       response(evil + signature),
		"the response takes the ID":                strings.Replace(response(evilOther+signature), `ID="_r1"`, `ID="_a1"`, 1),
		"the response takes ID and content":        strings.Replace(response(evilOther+inSignature(unsigned)), `ID="_r1"`, `ID="_a1"`, 1),
		"two signatures":                           response(within(evil, signature+signature)),
		"a reference to the whole document":        response(within(evil, strings.Replace(signature, `URI="#_a1"`, `URI=""`, 1))),
	} {
		if got, err := saml.Read(encoded(document), i.expectation()); err == nil && got.Subject != "dev@example.com" || got.Subject == "root@example.com" {
			t.Errorf("%s: it is read as an assertion of %q", name, got.Subject)
		} else if err == nil {
			t.Logf("%s: what was signed is read", name)
		}
	}
}

// A comment cuts a text in two for readers that stop at it, and leaves the signature good.
func TestComments(t *testing.T) {
	t.Parallel()
	i := newIDP(t)
	document := i.signed(t, strings.Replace(assertion, "dev@example.com", "dev@example.com.evil.example", 1))
	for _, within := range []string{"<!-- -->", "<?x y?>"} {
		got, err := saml.Read(encoded(strings.Replace(document, "dev@example.com.evil", "dev@example.com"+within+".evil", 1)), i.expectation())
		if err == nil && got.Subject != "dev@example.com.evil.example" {
			t.Errorf("a text with %s in it is read as %q", within, got.Subject)
		}
	}
}

// An identity provider may have several keys, of several kinds.
func TestKeys(t *testing.T) {
	t.Parallel()
	i := newIDP(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	want := i.expectation()
	want.Trust.Certificates = append([]*x509.Certificate{certify(t, key.Public(), key)}, want.Trust.Certificates...)
	if _, err := saml.Read(encoded(i.signed(t, assertion)), want); err != nil {
		t.Errorf("the second of two keys: %v", err)
	}
}

// SHA-1 is broken. HMAC would have the public certificate as its key.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	i := newIDP(t)
	for method, want := range map[string]error{
		dsig.RSASHA256SignatureMethod: nil, dsig.RSASHA384SignatureMethod: nil, dsig.RSASHA512SignatureMethod: nil,
		dsig.RSASHA1SignatureMethod: saml.ErrSignature,
	} {
		signed := i.signedWith(t, assertion, method)
		for _, document := range []string{signed, response(signed), i.signedWith(t, response(assertion), method)} {
			if _, err := saml.Read(encoded(document), i.expectation()); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", method, err, want)
			}
		}
	}
	hmac := strings.ReplaceAll(i.signed(t, assertion), dsig.RSASHA256SignatureMethod, "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")
	if _, err := saml.Read(encoded(hmac), i.expectation()); !errors.Is(err, saml.ErrSignature) {
		t.Errorf("HMAC: %v", err)
	}
}

// FuzzRead checks that no token panics, or is taken without a signature.
func FuzzRead(f *testing.F) {
	i := newIDP(f)
	for _, seed := range []string{"", assertion, response(assertion), i.signed(f, assertion), response(i.signed(f, assertion)), i.signed(f, response(assertion))} {
		f.Add(seed)
	}
	stranger := newIDP(f).expectation()
	f.Fuzz(func(t *testing.T, document string) {
		if got, err := saml.Read(encoded(document), stranger); err == nil {
			t.Errorf("%q is read as an assertion of %q", document, got.Subject)
		}
	})
}

// A response that xmlsec1 has signed is read: the other tests sign with the library that verifies.
func TestResponseOfXMLSec(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		content, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	trust, err := (&fixtures.SAMLProvider{EntityID: entity, Certificate: read("idp.pem")}).Trust()
	if err != nil {
		t.Fatal(err)
	}
	want := saml.Expectation{
		Trust: trust, IsAudience: func(text string) bool { return text == audience }, Now: now(), Skew: time.Minute,
	}
	got, err := saml.Read(encoded(read("response.xml")), want)
	if err != nil || got.Subject != "dev@example.com" || !slices.Equal(got.Attributes["team"], []string{"core"}) {
		t.Errorf("%+v, %v", got, err)
	}
	tampered := strings.Replace(read("response.xml"), ">core<", ">root<", 1)
	if _, err := saml.Read(encoded(tampered), want); !errors.Is(err, saml.ErrSignature) {
		t.Errorf("a changed response: %v", err)
	}
}

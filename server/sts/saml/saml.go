// Package saml verifies the assertions of SAML 2.0 identity providers
// (https://docs.oasis-open.org/security/saml/v2.0/saml-core-2.0-os.pdf).
//
// It reads only the signed content. It does not know pools or attribute mappings, and answers no
// request of SAML's protocols.
package saml

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"

	"gcp-metadata-emulator/fixtures"
)

// The reasons for which an assertion is refused.
var (
	ErrForm      = errors.New("the SAML assertion is malformed")
	ErrSignature = errors.New("the SAML assertion is not signed by the identity provider")
	ErrIssuer    = errors.New("the SAML assertion is from another issuer")
	ErrAudience  = errors.New("the SAML assertion is for another audience")
	ErrTime      = errors.New("the SAML assertion is not valid at this time")
)

const (
	assertionNamespace = "urn:oasis:names:tc:SAML:2.0:assertion"
	protocolNamespace  = "urn:oasis:names:tc:SAML:2.0:protocol"
	success            = "urn:oasis:names:tc:SAML:2.0:status:Success"
	bearer             = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
)

// Expectation holds the expected values of an assertion.
type Expectation struct {
	Trust      fixtures.SAMLTrust
	IsAudience func(audience string) bool
	Now        time.Time
	Skew       time.Duration // by which the clock of the identity provider may differ
}

// Assertion is an identity provider's statement about a subject.
type Assertion struct {
	Subject    string
	Attributes map[string][]string
	Expires    time.Time
}

// Read verifies a response or an assertion in base64. The error wraps one of the reasons of this
// package.
func Read(token string, want Expectation) (Assertion, error) {
	root, err := parse(token)
	if err != nil {
		return Assertion{}, err
	}
	signed, err := want.verified(root)
	if err != nil {
		return Assertion{}, err
	}
	a := reader{signed, want}
	if err := a.checkIssuer(); err != nil {
		return Assertion{}, err
	}
	if err := a.checkAudience(); err != nil {
		return Assertion{}, err
	}
	expires, err := a.checkTimes()
	if err != nil {
		return Assertion{}, err
	}
	subject, err := a.subject()
	if err != nil {
		return Assertion{}, err
	}
	attributes, err := a.attributes()
	return Assertion{Subject: subject, Attributes: attributes, Expires: expires}, err
}

// parse reads the document. It refuses a document with a type, which could define entities, and a
// document of another kind than SAML's two, which has nothing to verify.
func parse(token string) (*etree.Element, error) {
	text := strings.TrimRight(strings.Join(strings.Fields(token), ""), "=")
	content, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not base64: %w", ErrForm, err)
	}
	document := etree.NewDocument()
	if err := document.ReadFromBytes(content); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	for _, child := range document.Child {
		if _, ok := child.(*etree.Directive); ok {
			return nil, fmt.Errorf("%w: it has a document type", ErrForm)
		}
	}
	root := document.Root()
	if root == nil || len(document.ChildElements()) != 1 || !is(root, protocolNamespace, "Response") && !is(root, assertionNamespace, "Assertion") {
		return nil, fmt.Errorf("%w: it is neither a Response nor an Assertion", ErrForm)
	}
	return root, nil
}

// verified returns the assertion of a document as the identity provider has signed it: from the
// signature of the response, or from the assertion's own. Nothing else of the document counts. If
// somebody has wrapped content around a signed element, the content is therefore never read.
func (e Expectation) verified(root *etree.Element) (*etree.Element, error) {
	if !isSigned(root) && is(root, protocolNamespace, "Response") {
		assertion, err := onlyAssertion(root)
		if err != nil {
			return nil, err
		}
		return e.validate(assertion)
	}
	signed, err := e.validate(root)
	if err != nil || is(signed, assertionNamespace, "Assertion") {
		return signed, err
	}
	return onlyAssertion(signed)
}

// isSigned reports whether an element has a signature of its own.
func isSigned(element *etree.Element) bool {
	return len(children(element, dsig.Namespace, dsig.SignatureTag)) > 0
}

// onlyAssertion returns the assertion of a successful response.
func onlyAssertion(response *etree.Element) (*etree.Element, error) {
	for _, status := range children(response, protocolNamespace, "Status") {
		for _, code := range children(status, protocolNamespace, "StatusCode") {
			if value := code.SelectAttrValue("Value", ""); value != success {
				return nil, fmt.Errorf("%w: the status of the response is %q", ErrForm, value)
			}
		}
	}
	assertions := children(response, assertionNamespace, "Assertion")
	if len(assertions) != 1 || len(children(response, assertionNamespace, "EncryptedAssertion")) > 0 {
		return nil, fmt.Errorf("%w: the response does not have exactly one assertion that is not encrypted", ErrForm)
	}
	return assertions[0], nil
}

// validate returns a signed element as it was when it was signed. Its signature must be a child of
// the element and refer to it.
func (e Expectation) validate(element *etree.Element) (*etree.Element, error) {
	if !isSigned(element) {
		return nil, fmt.Errorf("%w: it has no signature", ErrSignature)
	}
	if usesSHA1(element) {
		return nil, fmt.Errorf("%w: it is signed with SHA-1, which is broken", ErrSignature)
	}
	namespaces, err := etreeutils.NSBuildParentContext(element)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	detached, err := etreeutils.NSDetatch(namespaces, element)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	context := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: e.Trust.Certificates})
	context.Clock = dsig.NewFakeClockAt(e.Now)
	signed, err := context.Validate(detached)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if signed == nil || signed.Tag != element.Tag || signed.NamespaceURI() != element.NamespaceURI() {
		return nil, fmt.Errorf("%w: the signature is of something else", ErrSignature)
	}
	return signed, nil
}

// usesSHA1 reports whether a signature within an element uses SHA-1. An attacker can make two
// documents with the same digest of SHA-1, and the signature of one is then valid for the other.
func usesSHA1(element *etree.Element) bool {
	broken := []string{dsig.RSASHA1SignatureMethod, dsig.ECDSASHA1SignatureMethod, "http://www.w3.org/2000/09/xmldsig#sha1"}
	return slices.ContainsFunc(element.FindElements(".//*"), func(within *etree.Element) bool {
		return slices.Contains(broken, within.SelectAttrValue("Algorithm", ""))
	})
}

func is(element *etree.Element, namespace, tag string) bool {
	return element.Tag == tag && element.NamespaceURI() == namespace
}

// children returns the children of an element with a name.
func children(element *etree.Element, namespace, tag string) []*etree.Element {
	var found []*etree.Element
	for _, child := range element.ChildElements() {
		if is(child, namespace, tag) {
			found = append(found, child)
		}
	}
	return found
}

package saml

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
)

// reader reads an assertion with a verified signature.
type reader struct {
	assertion *etree.Element
	want      Expectation
}

// only returns the only child of an element with a name.
func only(element *etree.Element, tag string) (*etree.Element, error) {
	found := children(element, assertionNamespace, tag)
	if len(found) != 1 {
		return nil, fmt.Errorf("%w: %s has %d elements %s, not one", ErrForm, element.Tag, len(found), tag)
	}
	return found[0], nil
}

// content returns the text of an element. The text may not be interrupted: of a text with a
// comment in it, some readers see only the beginning.
func content(element *etree.Element) (string, error) {
	var text strings.Builder
	for _, child := range element.Child {
		data, ok := child.(*etree.CharData)
		if !ok {
			return "", fmt.Errorf("%w: %s is not only text", ErrForm, element.Tag)
		}
		text.WriteString(data.Data)
	}
	return strings.TrimSpace(text.String()), nil
}

func (a reader) checkIssuer() error {
	element, err := only(a.assertion, "Issuer")
	if err != nil {
		return err
	}
	issuer, err := content(element)
	if err == nil && issuer != a.want.Trust.EntityID {
		return fmt.Errorf("%w: %q, not %q", ErrIssuer, issuer, a.want.Trust.EntityID)
	}
	return err
}

// checkAudience checks that the assertion is restricted to audiences, and that each restriction has
// one of the provider's audiences.
func (a reader) checkAudience() error {
	conditions, err := only(a.assertion, "Conditions")
	if err != nil {
		return err
	}
	restrictions := children(conditions, assertionNamespace, "AudienceRestriction")
	if len(restrictions) == 0 {
		return fmt.Errorf("%w: it has no AudienceRestriction", ErrAudience)
	}
	for _, restriction := range restrictions {
		var audiences []string
		for _, element := range children(restriction, assertionNamespace, "Audience") {
			audience, err := content(element)
			if err != nil {
				return err
			}
			audiences = append(audiences, audience)
		}
		if !slices.ContainsFunc(audiences, a.want.IsAudience) {
			return fmt.Errorf("%w: %q", ErrAudience, audiences)
		}
	}
	return nil
}

// checkTimes returns when the assertion expires. Its conditions, the confirmations of its subject
// and the session of its subject have bounds of their own; one of the confirmations must hold.
func (a reader) checkTimes() (time.Time, error) {
	conditions, err := only(a.assertion, "Conditions")
	if err != nil {
		return time.Time{}, err
	}
	expires, err := a.within(conditions, "NotBefore", "NotOnOrAfter")
	if err != nil {
		return time.Time{}, err
	}
	if expires.IsZero() {
		return time.Time{}, fmt.Errorf("%w: its Conditions have no NotOnOrAfter", ErrForm)
	}
	for _, statement := range children(a.assertion, assertionNamespace, "AuthnStatement") {
		end, err := a.within(statement, "", "SessionNotOnOrAfter")
		if err != nil {
			return time.Time{}, err
		}
		if !end.IsZero() && end.Before(expires) {
			expires = end
		}
	}
	return expires, a.checkConfirmation()
}

func (a reader) checkConfirmation() error {
	subject, err := only(a.assertion, "Subject")
	if err != nil {
		return err
	}
	mistake := fmt.Errorf("%w: its subject has no confirmation of method bearer", ErrForm)
	for _, confirmation := range children(subject, assertionNamespace, "SubjectConfirmation") {
		if confirmation.SelectAttrValue("Method", "") != bearer {
			continue
		}
		if mistake = a.checkConfirmationData(confirmation); mistake == nil {
			return nil
		}
	}
	return mistake
}

func (a reader) checkConfirmationData(confirmation *etree.Element) error {
	for _, data := range children(confirmation, assertionNamespace, "SubjectConfirmationData") {
		if _, err := a.within(data, "NotBefore", "NotOnOrAfter"); err != nil {
			return err
		}
	}
	return nil
}

// within checks the bounds of an element that it has, and returns its end.
func (a reader) within(element *etree.Element, from, to string) (end time.Time, err error) {
	begin, err := moment(element, from)
	if err != nil {
		return time.Time{}, err
	}
	if end, err = moment(element, to); err != nil {
		return time.Time{}, err
	}
	if begin.After(a.want.Now.Add(a.want.Skew)) || !end.IsZero() && !end.After(a.want.Now.Add(-a.want.Skew)) {
		return time.Time{}, fmt.Errorf("%w: %s is good from %q to %q", ErrTime, element.Tag, element.SelectAttrValue(from, ""), element.SelectAttrValue(to, ""))
	}
	return end, nil
}

// moment returns the time in an attribute, or the zero time if the element lacks it.
func moment(element *etree.Element, attribute string) (time.Time, error) {
	text := element.SelectAttrValue(attribute, "")
	if text == "" {
		return time.Time{}, nil
	}
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %s %q of %s is not a time in UTC", ErrForm, attribute, text, element.Tag)
	}
	return parsed, nil
}

func (a reader) subject() (string, error) {
	subject, err := only(a.assertion, "Subject")
	if err != nil {
		return "", err
	}
	name, err := only(subject, "NameID")
	if err != nil {
		return "", err
	}
	return content(name)
}

func (a reader) attributes() (map[string][]string, error) {
	attributes := map[string][]string{}
	for _, statement := range children(a.assertion, assertionNamespace, "AttributeStatement") {
		for _, attribute := range children(statement, assertionNamespace, "Attribute") {
			name := attribute.SelectAttrValue("Name", "")
			for _, value := range children(attribute, assertionNamespace, "AttributeValue") {
				text, err := content(value)
				if err != nil {
					return nil, err
				}
				attributes[name] = append(attributes[name], text)
			}
		}
	}
	return attributes, nil
}

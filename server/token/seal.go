package token

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/signer"
)

// Form is the outer form of one kind of opaque token. A token of one kind is never accepted as
// another kind.
type Form struct {
	Prefix string
	Limit  int // the maximum length that Google documents, in bytes; 0: none
}

// Google documents the maximum lengths of its tokens
// (https://developers.google.com/identity/protocols/oauth2#size).
const (
	MaxCode    = 256
	MaxRefresh = 512
	MaxAccess  = 2048
)

// content is the content of an opaque token, in CBOR (RFC 8949).
type content struct {
	_ struct{} `cbor:",toarray"`

	Own    cbor.RawMessage // of this token
	Shared []byte          // may be the same in many tokens; if IsKept, its ID in the key ring
	IsKept bool
}

// Seal makes a token. own and shared are the two parts of its content, which must be encodable in
// CBOR. If the token would be longer than the form allows, the key ring keeps the shared part, and
// the token only refers to it. The own part must be short.
func (i *Issuer) Seal(form Form, own, shared any) (string, error) {
	sealer, err := i.sealer(form.Prefix)
	if err != nil {
		return "", err
	}
	return i.sealWith(sealer, form.Limit, own, shared)
}

func (i *Issuer) sealWith(sealer *signer.Sealer, limit int, own, shared any) (string, error) {
	coding, err := i.coding()
	if err != nil {
		return "", err
	}
	var parts content
	if parts.Own, err = coding.encode(own); err != nil {
		return "", err
	}
	if parts.Shared, err = coding.encode(shared); err != nil {
		return "", err
	}
	data, err := coding.encode(parts)
	if err != nil {
		return "", err
	}
	if text := sealer.Seal(data); limit == 0 || len(text) <= limit {
		return text, nil
	}
	id := i.keys.KeepContent(parts.Shared)
	parts.Shared, parts.IsKept = id[:], true
	data, err = coding.encode(parts)
	return sealer.Seal(data), err
}

// Open decodes the two parts of a token from Seal. The error is ErrUnknown or a failure to read
// the keys.
func (i *Issuer) Open(form Form, text string, own, shared any) error {
	sealer, err := i.sealer(form.Prefix)
	if err != nil {
		return err
	}
	data, err := sealer.Open(text)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	coding, err := i.coding()
	if err != nil {
		return err
	}
	var parts content
	if coding.Unmarshal(data, &parts) != nil {
		return ErrUnknown // sealed by another version of the emulator
	}
	if parts.IsKept {
		if parts.Shared, err = i.kept(parts.Shared); err != nil {
			return err
		}
	}
	if coding.Unmarshal(parts.Own, own) != nil || coding.Unmarshal(parts.Shared, shared) != nil {
		return ErrUnknown
	}
	return nil
}

// kept returns the content that the key ring keeps under an ID.
func (i *Issuer) kept(id []byte) ([]byte, error) {
	if len(id) != len(keys.ContentID{}) {
		return nil, ErrUnknown
	}
	data, ok, err := i.keys.KeptContent(keys.ContentID(id))
	if err == nil && !ok {
		err = ErrUnknown
	}
	return data, err
}

// coding encodes and decodes the content of tokens.
type coding struct {
	cbor.EncMode
	cbor.DecMode
}

// newCoding returns a coding that encodes equal values alike. Parameters of requests may be invalid
// UTF-8, which CBOR decoders otherwise refuse.
func newCoding() (coding, error) {
	encoding, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return coding{}, err
	}
	decoding, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid}.DecMode()
	return coding{encoding, decoding}, err
}

func (c coding) encode(value any) ([]byte, error) {
	data, err := c.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode a token: %w", err)
	}
	return data, nil
}

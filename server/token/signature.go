package token

import (
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"strings"

	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// digest stands for the text of a token.
type digest [sha256.Size]byte

// signed is a JWT with the key that verified its signature. It must not be changed.
type signed struct {
	parsed *signer.Parsed
	key    crypto.PublicKey
}

// signature parses a JWT and verifies its signature. It caches only the result of the arithmetic,
// because most tokens are verified many times. So a change of the published keys or of the clock
// takes effect at once.
func (i *Issuer) signature(ctx context.Context, w *world.World, text string) (*signer.Parsed, authority, error) {
	id := digest(sha256.Sum256([]byte(text)))
	known, ok := i.verified.Get(id)
	parsed := known.parsed
	if !ok {
		var err error
		if parsed, err = parseJWT(text); err != nil {
			return nil, authority{}, err
		}
	}
	signedBy, err := i.authority(ctx, w, parsed)
	if err != nil {
		return nil, authority{}, err
	}
	if ok && known.key == signedBy.key {
		i.verifiedCounts.Hit()
		return parsed, signedBy, nil
	}
	i.verifiedCounts.Miss()
	if !parsed.SignedByForeign(signedBy.key) {
		return nil, authority{}, refused("the signature does not match key %q: the token was changed after it was signed", parsed.KeyID())
	}
	if len(text) <= cachedBytes {
		i.verified.Add(id, signed{parsed, signedBy.key})
	}
	return parsed, signedBy, nil
}

// parseJWT parses a JWT and checks its algorithm.
func parseJWT(text string) (*signer.Parsed, error) {
	parsed, err := signer.Parse(text)
	if err != nil || strings.HasSuffix(text, "."+RemovedSignature) {
		return nil, unreadable(text, cmp.Or(err, signer.ErrMalformed))
	}
	return parsed, checkAlgorithm(parsed)
}

// RemovedSignature stands in place of the signature in tokens that Google's front end passes on. It is
// also base64.
const RemovedSignature = "SIGNATURE_REMOVED_BY_GOOGLE"

// unreadable returns the refusal of a text that is not a JWT.
func unreadable(text string, problem error) error {
	const afterHeader, afterPayload = 1, 2 // dots
	dots := strings.Count(text, ".")
	switch isJWT := strings.HasPrefix(text, "eyJ"); { // a JSON object begins so in base64
	case isJWT && strings.HasSuffix(text, "."+RemovedSignature):
		return refused("the signature of the token was removed by Google's front end, so that the service cannot use the token elsewhere")
	case isJWT && dots == afterHeader:
		return refused("the JSON Web Token has two parts instead of three: its signature is missing")
	case dots == afterPayload:
		_, what, _ := strings.Cut(problem.Error(), ": ")
		return refused("the JSON Web Token is malformed: %s", what)
	default:
		return refused("the text is not an access token, a refresh token or a JSON Web Token")
	}
}

package control

import (
	"fmt"
	"net/http"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
)

// signingKey describes a key with which Google signs tokens now, or did or will.
type signingKey struct {
	ID        string     `json:"kid"`
	Use       string     `json:"use"` // the kind of token that it signs
	State     keys.State `json:"state"`
	NotBefore string     `json:"notBefore"`
	NotAfter  string     `json:"notAfter"`
}

// Keys lists the published signing keys of Google's own tokens.
func (s *Server) Keys(*http.Request) (wire.Response, error) {
	list := []signingKey{}
	for _, signs := range []struct {
		use string
		set *keys.Set
	}{
		{"id-token", s.keys.Google()},
		{string(token.KindFirebase), s.keys.Firebase()},
		{string(token.KindFirebaseSession), s.keys.FirebaseSession()},
	} {
		published, err := signs.set.States()
		if err != nil {
			return wire.Response{}, fmt.Errorf("read the signing keys: %w", err)
		}
		for _, key := range published {
			list = append(list, signingKey{
				ID: key.ID(), Use: signs.use, State: key.State,
				NotBefore: key.NotBefore().UTC().Format(time.RFC3339), NotAfter: key.NotAfter().UTC().Format(time.RFC3339),
			})
		}
	}
	return googleapi.JSON(struct {
		Keys []signingKey `json:"keys"`
	}{list}), nil
}

// RotateKeys retires the active signing keys of Google's own tokens, and answers like Keys. The member
// "keep" limits how many retired keys remain published.
func (s *Server) RotateKeys(r *http.Request) (wire.Response, error) {
	var asked struct {
		Keep *int32 `json:"keep"`
	}
	if err := readOptionalJSON(r, &asked); err != nil {
		return wire.Response{}, err
	}
	keep := keys.KeepAll
	if asked.Keep != nil {
		if keep = int(*asked.Keep); keep < 0 {
			return wire.Response{}, googleapi.InvalidArgument(fmt.Sprintf(`"keep" is %d; it must be 0 or more`, keep))
		}
	}
	if err := s.keys.Rotate(r.Context(), keep); err != nil {
		return wire.Response{}, fmt.Errorf("rotate the signing keys: %w", err)
	}
	return s.Keys(r)
}

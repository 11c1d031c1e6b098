package control

import (
	"context"
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

// keyList is the answer about keys.
type keyList struct {
	Keys     []signingKey `json:"keys"`
	Warnings []string     `json:"warnings,omitempty"`
}

// Keys lists the published signing keys of Google's own tokens.
func (s *Server) Keys(*http.Request) (wire.Response, error) {
	list, err := s.signingKeys()
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.JSON(keyList{Keys: list}), nil
}

func (s *Server) signingKeys() ([]signingKey, error) {
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
			return nil, fmt.Errorf("read the signing keys: %w", err)
		}
		for _, key := range published {
			list = append(list, signingKey{
				ID: key.ID(), Use: signs.use, State: key.State,
				NotBefore: key.NotBefore().UTC().Format(time.RFC3339), NotAfter: key.NotAfter().UTC().Format(time.RFC3339),
			})
		}
	}
	return list, nil
}

// RotateKeys retires the active signing keys of Google's own tokens, and answers like Keys. The member "keep"
// limits how many retired keys remain published. If no other process learns of the rotation, the answer has a
// warning.
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
	list, err := s.signingKeys()
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.JSON(keyList{Keys: list, Warnings: s.warnOfRotation(r.Context())}), nil
}

// warnOfRotation logs and returns a warning if the keys come from a directory that is only read. Other
// emulators may have begun with the same keys, and do not follow the rotation.
func (s *Server) warnOfRotation(ctx context.Context) []string {
	if s.givenKeys == "" {
		return nil
	}
	const problem, hint = "only this process knows the rotated keys, until it ends",
		"share the keys of replicas with --store; or, with one emulator, keep them in a directory that can be written: keys import, and --state-dir"
	s.logger.WarnContext(ctx, problem, "keys", s.givenKeys, "hint", hint)
	return []string{fmt.Sprintf("%s: the directory %q of --keys still has the old ones; %s", problem, s.givenKeys, hint)}
}

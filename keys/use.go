package keys

import "time"

// Use is what the keys of a set are for, which gives their certificates a name and a
// validity.
type Use struct {
	commonName string
	lifetime   time.Duration // 0: until 9999-12-31
	ahead      bool          // a next key is published before it becomes the active one
	handedOut  bool          // in files, which stay good when a clock is set back
}

const (
	federatedLifetime = 16*24*time.Hour + 12*time.Hour + 15*time.Minute
	systemLifetime    = 2 * 365 * 24 * time.Hour

	// stagger is how far apart Google's signing keys are made: there is a new one about
	// every eight days, and each lives for a little over two such spans.
	stagger = 8 * 24 * time.Hour

	// backdate puts the start of a validity safely into the past, for verifiers whose
	// clock is late.
	backdate = 15 * time.Minute

	// spare is the validity that must be left for a key to sign: more than any signature
	// it makes may be relied on (12 hours for signJwt).
	spare = 24 * time.Hour
)

// FederatedSignon is the use of the keys with which Google signs ID tokens.
func FederatedSignon() Use {
	return Use{commonName: "federated-signon.system.gserviceaccount.com", lifetime: federatedLifetime, ahead: true}
}

// SystemManaged is the use of the keys with which the IAM Credentials API signs for a
// service account. Their certificates carry its e-mail address with a dot for the at sign.
func SystemManaged(email string) Use {
	return Use{commonName: dotted(email), lifetime: systemLifetime}
}

// UserManaged is the use of the keys that service account key files hold. Their
// certificates carry the account's unique ID and do not expire.
func UserManaged(uniqueID string) Use {
	return Use{commonName: uniqueID, handedOut: true}
}

func (u Use) notAfter(notBefore time.Time) time.Time {
	notAfter := notBefore.Add(u.lifetime)
	if u.lifetime == 0 || notAfter.After(endOfTime()) {
		return endOfTime()
	}
	return notAfter
}

// endOfTime is the expiry of what does not expire (RFC 5280, section 4.1.2.5), and the last that
// a certificate can have.
func endOfTime() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }

// notBefore is the start of validity of a key made now for a set that has so many usable
// ones. In a set with a next key one that becomes active at once is dated back, so that the
// two do not expire together.
func (u Use) notBefore(now time.Time, usable int) time.Time {
	if u.ahead && usable == 0 {
		return now.Add(-backdate - stagger)
	}
	return now.Add(-backdate)
}

// isBegun tells whether the time of a key has come.
func (u Use) isBegun(key *Key, now time.Time) bool {
	return u.handedOut || !key.NotBefore().After(now)
}

// wanted is how many usable keys a set needs.
func (u Use) wanted() int {
	if u.ahead {
		return 2
	}
	return 1
}

// dotted writes the last at sign of an e-mail address as a dot; common names hold at most
// 64 characters (RFC 5280, appendix A.1, ub-common-name).
func dotted(email string) string {
	const maxCommonName = 64
	out := []byte(email)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i] == '@' {
			out[i] = '.'
			break
		}
	}
	return string(out[:min(len(out), maxCommonName)])
}

package keys

import "time"

// purpose is the purpose of a set's keys. It determines the name and validity of their
// certificates.
type purpose struct {
	commonName string
	lifetime   time.Duration // 0: until 9999-12-31
	ahead      bool          // the set publishes a next key before it becomes active
	handedOut  bool          // the keys are in key files, which stay valid if the clock is set back
}

const (
	federatedLifetime = 16*24*time.Hour + 12*time.Hour + 15*time.Minute
	systemLifetime    = 2 * 365 * 24 * time.Hour

	// stagger is the interval between Google's signing keys. Google makes a key about every
	// eight days, and each key lives for a little over two intervals.
	stagger = 8 * 24 * time.Hour

	// backdate moves the start of a validity into the past, for verifiers with a slow clock.
	backdate = 15 * time.Minute

	// spare is the remaining validity of a key below which it signs no more. It exceeds the
	// lifetime of every signature (12 hours for signJwt).
	spare = 24 * time.Hour
)

// FederatedSignon returns the use of Google's keys for ID tokens.
func federatedSignon() purpose {
	return purpose{commonName: "federated-signon.system.gserviceaccount.com", lifetime: federatedLifetime, ahead: true}
}

// Firebase returns the use of Google's keys for Firebase ID tokens. They are the keys of the
// account securetoken@system.gserviceaccount.com.
func firebase() purpose {
	return purpose{commonName: "securetoken.system.gserviceaccount.com", lifetime: federatedLifetime, ahead: true}
}

// FirebaseSession returns the use of Google's keys for Firebase session cookies. Google does not
// document the common name of their certificates.
func firebaseSession() purpose {
	return purpose{commonName: "session.firebase.google.com", lifetime: federatedLifetime, ahead: true}
}

// SystemManaged returns the use of the IAM Credentials API's keys for a service account. The
// common name of their certificates is the e-mail address with a dot for the at sign.
func systemManaged(email string) purpose {
	return purpose{commonName: dotted(email), lifetime: systemLifetime}
}

// UserManaged returns the use of the keys in service account key files. The common name of
// their certificates is the account's unique ID, and they do not expire.
func userManaged(uniqueID string) purpose {
	return purpose{commonName: uniqueID, handedOut: true}
}

func (u purpose) notAfter(notBefore time.Time) time.Time {
	notAfter := notBefore.Add(u.lifetime)
	if u.lifetime == 0 || notAfter.After(endOfTime()) {
		return endOfTime()
	}
	return notAfter
}

// endOfTime returns the end of validity of certificates without an expiry date (RFC 5280,
// section 4.1.2.5). It is also the latest possible expiry.
func endOfTime() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }

// notBefore returns the start of validity for a key made now. usable is the number of usable keys
// in the set. If the use has a next key, a key that becomes active at once is dated back. The two
// keys then do not expire together.
func (u purpose) notBefore(now time.Time, usable int) time.Time {
	if u.ahead && usable == 0 {
		return now.Add(-backdate - stagger)
	}
	return now.Add(-backdate)
}

// isBegun reports whether key's validity has begun. Keys of key files count as begun.
func (u purpose) isBegun(key *Key, now time.Time) bool {
	return u.handedOut || !key.NotBefore().After(now)
}

// wanted returns a set's minimum number of usable keys.
func (u purpose) wanted() int {
	if u.ahead {
		return 2
	}
	return 1
}

// dotted replaces the last at sign of an e-mail address by a dot. Common names have at most 64
// characters (RFC 5280, appendix A.1, ub-common-name).
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

package token

import "time"

// AllowedSkew is how far a client's clock may be off when it signs a JWT itself.
const AllowedSkew = 5 * time.Minute

// longestSelfSigned is how long a JWT that a service account signs itself may be valid.
const longestSelfSigned = time.Hour

// IsShortLived reports whether Google's servers accept the times of a JWT that a service account
// signed itself: an assertion, or a bearer token. Each time is compared with now, not with the
// other time. Google's PHP library issues a JWT as of a minute ago, for an hour from now, so there
// is more than an hour between the two.
func IsShortLived(issued, expires, now time.Time) bool {
	const limit = longestSelfSigned + AllowedSkew
	return !issued.Before(now.Add(-limit)) && !issued.After(now.Add(AllowedSkew)) &&
		!expires.Before(now.Truncate(time.Second)) && !expires.After(now.Add(limit)) && !expires.Before(issued)
}

package replica

import (
	"crypto/sha256"
	"encoding/base64"
	"math"
)

// A text is kept in parts, and each part's name is its digest. So an edit of a large text writes only a
// few small records. The end of a part depends only on the bytes before it: beyond an edit, the parts
// stay the same.
const (
	smallestPart = 8 << 10
	usualPart    = 32 << 10
	largestPart  = 128 << 10
)

// split cuts a text into parts.
func split(text []byte) [][]byte {
	var parts [][]byte
	for len(text) > 0 {
		end := endOfPart(text)
		parts = append(parts, text[:end:end])
		text = text[end:]
	}
	return parts
}

// endOfPart returns the length of the first part of a text. The part ends at the first small sum, or
// else at the smallest sum. The sum over the bytes forgets a byte after 64 others, because each byte
// shifts it by one bit.
func endOfPart(text []byte) int {
	const small = 1 << 63 / (usualPart / 2)
	if len(text) <= smallestPart {
		return len(text)
	}
	var sum uint64
	best, end := uint64(math.MaxUint64), 0
	for i, b := range text[:min(len(text), largestPart)] {
		sum = sum<<1 + spread(b)
		if i < smallestPart || sum >= best {
			continue
		}
		best, end = sum, i+1
		if sum < small {
			return end
		}
	}
	if len(text) <= largestPart {
		return len(text)
	}
	return end
}

// spread returns a number with bits as good as random for a byte (the finaliser of SplitMix64).
func spread(b byte) uint64 {
	x := (uint64(b) + 1) * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// nameOf returns the digest that names a part.
func nameOf(part []byte) string {
	const size = 15 // 20 letters
	sum := sha256.Sum256(part)
	return base64.RawURLEncoding.EncodeToString(sum[:size])
}

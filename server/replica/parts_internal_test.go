package replica

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A text consists of its parts, and an edit changes few of them, wherever it is.
func TestParts(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, smallestPart, largestPart + 1, 1 << 20} {
		var text bytes.Buffer
		for i := 0; text.Len() < size; i++ {
			fmt.Fprintf(&text, `{"name":"instance-%06d","labels":{"team":"%d"}},`, i, random.IntN(9))
		}
		whole := text.Bytes()
		before := split(whole)
		if !bytes.Equal(bytes.Join(before, nil), whole) {
			t.Fatalf("the parts of %d bytes are not the text", size)
		}
		for _, part := range before {
			if len(part) == 0 || len(part) > largestPart {
				t.Errorf("a part of %d bytes has %d", size, len(part))
			}
		}
		for range 20 {
			at := random.IntN(len(whole) + 1)
			after := split(slices.Insert(slices.Clone(whole), at, []byte("edited")...))
			changed := 0
			for _, part := range after {
				if !slices.ContainsFunc(before, func(old []byte) bool { return bytes.Equal(old, part) }) {
					changed++
				}
			}
			if changed > 3 {
				t.Errorf("an edit at %d of %d bytes changes %d of %d parts", at, size, changed, len(after))
			}
		}
	}
}

// A text that never varies is cut too.
func TestPartsOfOneLetter(t *testing.T) {
	t.Parallel()
	for _, letter := range []string{"a", "\x00", "\xff"} {
		if parts := split([]byte(strings.Repeat(letter, 1<<20))); len(parts) < 8 || len(parts) > 1<<20/smallestPart {
			t.Errorf("%q is in %d parts", letter, len(parts))
		}
	}
}

package reason_test

import (
	"strings"
	"testing"

	"gcp-metadata-emulator/server/reason"
)

// Codes are unique and short, and every code has a meaning and a hint.
func TestVocabulary(t *testing.T) {
	t.Parallel()
	seen := make(map[reason.Code]bool)
	for _, entry := range reason.Vocabulary() {
		if seen[entry.Code] || entry.Meaning == "" || entry.Hint == "" || !reason.IsKnown(entry.Code) || entry.Code.Hint() != entry.Hint {
			t.Errorf("%+v", entry)
		}
		if strings.Trim(string(entry.Code), "abcdefghijklmnopqrstuvwxyz-") != "" {
			t.Errorf("the code %q has odd letters", entry.Code)
		}
		seen[entry.Code] = true
	}
	if reason.IsKnown("nonsense") || reason.Code("nonsense").Hint() != "" {
		t.Error("a code is known that the vocabulary lacks")
	}
}

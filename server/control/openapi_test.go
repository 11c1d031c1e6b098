package control_test

import (
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// Every schema in the description is a valid JSON Schema.
func TestDescriptionCompiles(t *testing.T) {
	t.Parallel()
	emulatortest.Describe(t, emulatortest.Unserved(t, "")).CheckSchemas(t)
}

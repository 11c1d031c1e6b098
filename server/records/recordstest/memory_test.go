package recordstest_test

import (
	"testing"

	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/records/recordstest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	memory := recordstest.New()
	recordstest.Contract(t, func() records.Store { return memory.Join() })
}

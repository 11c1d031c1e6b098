package accountkeys_test

import (
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/accountkeys"
	"gcp-metadata-emulator/server/world"
)

// An uploaded key is valid as long as its certificate, by the emulator's clock.
func TestUploadedKeysExpire(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ring := keys.NewRing("", func() time.Time { return now })
	system, err := ring.System("a@b.c").Active(t.Context()) // a system-managed key expires
	if err != nil {
		t.Fatal(err)
	}
	uploaded, err := keys.ParsePublic([]byte(system.Certificate()))
	if err != nil {
		t.Fatal(err)
	}
	account := &world.ServiceAccount{Email: "d@e.f", UniqueID: "1", UploadedKeys: []*keys.Certified{uploaded}}
	for at, want := range map[time.Time]int{uploaded.NotAfter().Add(-time.Second): 1, uploaded.NotAfter(): 0} {
		now = at
		usable, err := accountkeys.Usable(ring, account)
		if err != nil || len(usable) != want {
			t.Errorf("at %v there are %d keys, %v; want %d", at, len(usable), err, want)
		}
	}
}

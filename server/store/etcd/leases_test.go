//go:build cluster

package etcd_test

import (
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/records/recordstest"
)

// leasesOf returns the leases of a server by whether they last long.
func leasesOf(t *testing.T, client *clientv3.Client) (long, short []clientv3.LeaseID) {
	t.Helper()
	all, err := client.Leases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all.Leases {
		left, err := client.TimeToLive(t.Context(), one.ID)
		switch {
		case err != nil:
			t.Fatal(err)
		case left.GrantedTTL > 60:
			long = append(long, one.ID)
		case left.TTL >= 0:
			short = append(short, one.ID)
		}
	}
	return long, short
}

// A lease that the server does not know is replaced. The own lease goes on meanwhile, and ends at once if the
// store is closed, with the records that end with the process.
func TestUnknownLease(t *testing.T) {
	t.Parallel()
	server := recordstest.StartEtcd(t)
	client := newClient(t, server)
	for name, own := range map[string]bool{"another one": false, "the own one": true} {
		t.Run(name, func(t *testing.T) {
			a := open(t, server.Address)
			change := records.Change{Put: []records.Entry{{Name: "folder/lasting", Lasts: time.Hour}, {Name: "folder/mine", Mine: true}}}
			if err := a.Commit(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			long, short := leasesOf(t, client)
			unknown := long
			if own {
				unknown = short
			}
			for _, id := range unknown {
				if _, err := client.Revoke(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.Commit(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			if _, now := leasesOf(t, client); len(now) != 1 || slices.Equal(now, short) == own {
				t.Errorf("the own leases are %v, and were %v", now, short)
			}
			a.Close()
			if _, now := leasesOf(t, client); len(now) > 0 {
				t.Errorf("after the end, the own leases are %v", now)
			}
			if got, err := client.Get(t.Context(), t.Name()+"/folder/mine"); err != nil || got.Count > 0 {
				t.Errorf("after the end, there is %v: %v", got, err)
			}
		})
	}
}

// The server is away for longer than the own lease lasts: the records that end with the process stay.
func TestOwnLeaseOutlivesTheServer(t *testing.T) {
	t.Parallel()
	server := recordstest.StartEtcd(t)
	client := newClient(t, server)
	a := open(t, server.Address)
	if err := a.Commit(t.Context(), records.Change{Put: []records.Entry{{Name: "folder/mine", Mine: true}}}); err != nil {
		t.Fatal(err)
	}
	_, before := leasesOf(t, client)
	server.Kill()
	select {
	case <-time.After(8 * time.Second):
	case <-t.Context().Done():
	}
	server.Start(t)
	const longer = 8
	other, err := client.Grant(t.Context(), longer) // nobody keeps it alive
	if err != nil {
		t.Fatal(err)
	}
	for left := int64(0); left >= 0; {
		got, err := client.TimeToLive(t.Context(), other.ID)
		if err != nil {
			t.Fatal(err)
		}
		left = got.TTL
		select {
		case <-time.After(100 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the other lease does not end")
		}
	}
	if _, now := leasesOf(t, client); !slices.Equal(now, before) {
		t.Errorf("the own leases are %v, and were %v", now, before)
	}
}

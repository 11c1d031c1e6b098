package replicas_test

import (
	"testing"
	"time"

	"gcp-metadata-emulator/server/records/recordstest"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// bare is two clients of etcd. The first changes records, and the second watches them.
type bare struct {
	writer *clientv3.Client
	news   clientv3.WatchChan
}

func newBare(t *testing.T, server *recordstest.Etcd) bare {
	t.Helper()
	var clients [2]*clientv3.Client
	for i := range clients {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Address}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		clients[i] = client
	}
	return bare{clients[0], clients[1].Watch(t.Context(), "bare")}
}

// change makes a change, and returns the time until the watch has it.
func (b bare) change(t *testing.T) time.Duration {
	t.Helper()
	begun := time.Now()
	if _, err := b.writer.Put(t.Context(), "bare", "changed"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.news:
	case <-t.Context().Done():
		t.Fatal("the watch has no change")
	}
	return time.Since(begun)
}

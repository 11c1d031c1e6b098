package replicas_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"gcp-metadata-emulator/server/records/recordstest"
)

// BenchmarkReads reads a metadata value from 1, 2, … replicas, each client over a single connection. The
// variable REPLICAS is the number of replicas; the default is 3. Each replica gets a core, if the machine
// has as many besides the clients' core.
func BenchmarkReads(b *testing.B) {
	b.Setenv("GOMAXPROCS", "1")
	most, err := strconv.Atoi(os.Getenv("REPLICAS"))
	if err != nil {
		most = 3
	}
	server := recordstest.StartEtcd(b)
	for count := 1; count <= most; count++ {
		b.Run(fmt.Sprint("replicas=", count), func(b *testing.B) {
			var all []*replica
			for i := range count {
				all = append(all, newReplica(b, fmt.Sprint("r", i), server.Address))
			}
			var next atomic.Int64
			b.SetParallelism(4)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				read := reader(b, all[int(next.Add(1))%count])
				for pb.Next() {
					read()
				}
			})
			perSecond := float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(perSecond, "reads/s")
			b.ReportMetric(perSecond/float64(min(count, runtime.NumCPU())), "reads/s/core")
		})
	}
}

// reader returns a function that reads a value over a connection of its own.
func reader(b *testing.B, r *replica) func() {
	b.Helper()
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	request := []byte("GET /computeMetadata/v1/instance/id HTTP/1.1\r\nHost: localhost\r\nMetadata-Flavor: Google\r\n\r\n")
	answers := bufio.NewReader(conn)
	return func() {
		if _, err := conn.Write(request); err != nil {
			b.Error(err)
			return
		}
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			b.Error(err)
			return
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK {
			b.Errorf("status %d, %v", response.StatusCode, err)
		}
	}
}

// Package replicas tests emulators that share a world, as processes, with a real server of etcd.
//
//	go -C integration test ./replicas
//
// The tests are skipped, aloud, on machines without the program "etcd" (Debian: etcd-server; the variable
// ETCD names another program). The flag -rounds says how many times processes are killed.
package replicas

// Package replicas tests emulators that share a world, as processes, with a real server of etcd.
//
//	go -C integration test ./replicas
//
// The server is the machine's program "etcd" (Debian: etcd-server), or else built from the module
// integration/etcd; the variable ETCD names another program. The flag -rounds says how many times processes
// are killed.
package replicas

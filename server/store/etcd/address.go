//go:build cluster

package etcd

import (
	"fmt"
	"net"
	"strings"
)

// Parse reads the value of --store: etcd://HOST:PORT[,HOST:PORT…]/PREFIX.
func Parse(text string) (endpoints []string, prefix string, err error) {
	rest, ok := strings.CutPrefix(text, "etcd://")
	addresses, prefix, named := strings.Cut(rest, "/")
	prefix = strings.Trim(prefix, "/")
	if !ok || !named || prefix == "" {
		return nil, "", fmt.Errorf("%q is not etcd://HOST:PORT[,HOST:PORT]/PREFIX", text)
	}
	endpoints = strings.Split(addresses, ",")
	for _, address := range endpoints {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			return nil, "", fmt.Errorf("%q in %q is not HOST:PORT", address, text)
		}
	}
	return endpoints, prefix, nil
}

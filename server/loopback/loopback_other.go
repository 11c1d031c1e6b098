//go:build !linux

package loopback

import (
	"errors"
	"net/netip"
)

func add(netip.Addr) (remove func() error, err error) { return nil, errors.ErrUnsupported }

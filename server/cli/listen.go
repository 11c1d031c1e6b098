package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"gcp-metadata-emulator/server/world"
)

// listeners are the addresses of an emulator: its own first, and those of instances.
type listeners []listener

type listener struct {
	net.Listener

	instance string // empty: the default one, or the one that a Host names
}

// urls are the base URLs of the instances that have an address.
func (l listeners) urls() map[string]string {
	urls := map[string]string{}
	for _, one := range l {
		if one.instance != "" {
			urls[one.instance] = baseURL(one.Addr()).String()
		}
	}
	return urls
}

// address is where to listen, and the instance whose address it is; empty: the emulator's.
type address struct{ hostport, instance string }

// plan says where an emulator of a world is to listen, its own address first.
type plan func(*world.World) ([]address, error)

// everywhere is the emulator's own address and those that the fixture gives to instances.
func everywhere(hostport string) plan {
	return func(w *world.World) ([]address, error) {
		wanted := []address{{hostport: hostport}}
		for _, instance := range w.Instances {
			if instance.Listen != "" {
				wanted = append(wanted, address{instance.Listen, instance.Name})
			}
		}
		return wanted, nil
	}
}

// oneAddress is the address of one instance, or of the emulator where none is named.
func oneAddress(hostport, name string) plan {
	return func(w *world.World) ([]address, error) {
		if _, known := w.Instance(name); name != "" && !known {
			names := make([]string, len(w.Instances))
			for i, instance := range w.Instances {
				names[i] = instance.Name
			}
			return nil, noInstance(name, names)
		}
		return []address{{hostport, name}}, nil
	}
}

// open opens addresses.
func (e *emulator) open(ctx context.Context, wanted []address) (listeners, error) {
	var opened listeners
	for _, want := range wanted {
		one, err := listen(ctx, want.hostport)
		if err != nil {
			opened.close()
			return nil, err
		}
		if !isLoopback(want.hostport) {
			e.logger.WarnContext(ctx, "other machines may be able to get tokens and keys from this address", "listen", one.Addr().String())
		}
		opened = append(opened, listener{one, want.instance})
	}
	e.url = baseURL(opened[0].Addr())
	for name, url := range opened[1:].urls() {
		e.logger.InfoContext(ctx, "serving an instance", "url", url, "instance", name)
	}
	return opened, nil
}

func (l listeners) close() {
	for _, one := range l {
		_ = one.Close() // nothing has come in
	}
}

// noInstance says which instances there are.
func noInstance(name string, known []string) error {
	return &hintError{
		message: fmt.Sprintf("there is no instance %q", name),
		hint:    "there are: " + strings.Join(known, ", "),
	}
}

// serve serves every address until the context ends or one of them fails.
func (e *emulator) serve(ctx context.Context, opened listeners) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error)
	for _, one := range opened {
		go func() {
			if one.instance == "" {
				ended <- e.server.Serve(ctx, one)
				return
			}
			ended <- e.server.ServeInstance(ctx, one, one.instance)
		}()
	}
	var first error
	for range opened {
		if err := <-ended; err != nil && first == nil {
			first = err
		}
		cancel()
	}
	return first
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		hint := "another program may be using it; choose another with --listen HOST:PORT, or --listen 127.0.0.1:0 for any free port"
		if _, malformed := errors.AsType[*net.AddrError](err); malformed {
			hint = "an address is written HOST:PORT, for example 127.0.0.1:8254"
		}
		return nil, &hintError{message: fmt.Sprintf("cannot listen on %q: %v", address, rootCause(err)), hint: hint, cause: err}
	}
	return listener, nil
}

// baseURL is the URL of a listener as a client on this machine reaches it.
func baseURL(address net.Addr) *url.URL {
	hostport := address.String()
	if parsed, err := netip.ParseAddrPort(hostport); err == nil && parsed.Addr().IsUnspecified() {
		hostport = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), parsed.Port()).String()
	}
	return &url.URL{Scheme: "http", Host: hostport}
}

// isLoopback tells whether only this machine can reach an address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	parsed, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && parsed.IsLoopback()
}

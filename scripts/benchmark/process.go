package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gcp-metadata-emulator/scripts/benchmark/load"
)

const (
	// obedience is the time from the stop signal until a process is killed.
	obedience = 5 * time.Second
	// Ports come from below the usual range for outgoing connections. Otherwise a connection
	// attempt before the server listens can connect to itself, and keep the server from
	// listening.
	firstPort, lastPort = 20_000, 29_999
)

// errStopped is the cause of an intended stop.
var errStopped = errors.New("stopped")

// process is a server process of the benchmark.
type process struct {
	addr    string
	pid     int
	started time.Time
	// alive ends with the process, or when stop is called. Its cause is the reason.
	alive context.Context
	stop  func() // asks the process to end, and waits until it has
}

// start runs a command and replaces "{addr}" in its arguments by a free address. It does not
// wait until the command listens there.
func start(ctx context.Context, name string, args ...string) (*process, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	alive, cancel := context.WithCancelCause(ctx)
	cmd := exec.CommandContext(alive, name, replace(args, "{addr}", addr)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = obedience
	stderr := &tail{}
	cmd.Stderr = stderr
	// The command's input ends when this process ends, however that happens.
	if _, err := cmd.StdinPipe(); err != nil {
		cancel(err)
		return nil, err
	}
	started := load.Now()
	if err := cmd.Start(); err != nil {
		cancel(err)
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // cmd.ProcessState says more than the error
		cancel(fmt.Errorf("%q ended by itself (%v): %s", name, cmd.ProcessState, stderr.text))
	}()
	stop := func() {
		cancel(errStopped)
		<-ended
	}
	return &process{addr: addr, pid: cmd.Process.Pid, started: started, alive: alive, stop: stop}, nil
}

// during returns a context that ends no later than the process.
func (p *process) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	detach := context.AfterFunc(p.alive, func() { cancel(context.Cause(p.alive)) })
	return ctx, func() {
		detach()
		cancel(nil)
	}
}

// once sends one request as soon as the process accepts a connection.
func (p *process) once(ctx context.Context, request load.Request) (*load.Answer, error) {
	ctx, cancel := p.during(ctx)
	defer cancel()
	answer, err := load.Once(ctx, p.addr, request.Compile(p.addr))
	return answer, p.explain(err)
}

// firstAnswer returns the time from the process's start to the first byte of an answer.
func (p *process) firstAnswer(ctx context.Context, request load.Request) (time.Duration, error) {
	ctx, cancel := p.during(ctx)
	defer cancel()
	first, err := load.Await(ctx, p.addr, request.Compile(p.addr))
	return first.Sub(p.started), p.explain(err)
}

// load sends many requests.
func (p *process) load(ctx context.Context, template *load.Template, limits load.Limits) (*load.Result, error) {
	ctx, cancel := p.during(ctx)
	defer cancel()
	result, err := load.Run(ctx, p.addr, template, limits)
	return result, p.explain(err)
}

// open opens connections for several loads. The second result closes them.
func (p *process) open(ctx context.Context, template *load.Template, connections int) (loader, func(), error) {
	ctx, cancel := p.during(ctx)
	session, err := load.Open(ctx, p.addr, template, connections)
	if err != nil {
		cancel()
		return nil, nil, p.explain(err)
	}
	run := func(ctx context.Context, limits load.Limits) (*load.Result, error) {
		ctx, cancel := p.during(ctx)
		defer cancel()
		result, err := session.Run(ctx, limits)
		return result, p.explain(err)
	}
	return run, func() {
		session.Close()
		cancel()
	}, nil
}

// loader loads a server.
type loader func(ctx context.Context, limits load.Limits) (*load.Result, error)

// explain replaces the error of a broken connection by the reason for the process's end, which
// may come a little later.
func (p *process) explain(err error) error {
	var status *load.StatusError
	if err == nil || errors.As(err, &status) {
		return err
	}
	select {
	case <-p.alive.Done():
		return context.Cause(p.alive)
	case <-time.After(time.Second):
		return err
	}
}

// replace returns a copy of args in which replacement replaces every occurrence of old.
func replace(args []string, old, replacement string) []string {
	replaced := make([]string, len(args))
	for i, arg := range args {
		replaced[i] = strings.ReplaceAll(arg, old, replacement)
	}
	return replaced
}

// freeAddr returns a local address on which no server listens at present.
func freeAddr(ctx context.Context) (string, error) {
	const attempts = 100
	for range attempts {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err == nil {
			return addr, listener.Close()
		}
	}
	return "", fmt.Errorf("none of %d ports tried from %d to %d is free", attempts, firstPort, lastPort)
}

// tail keeps the last bytes written to it.
type tail struct {
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const kept = 2000
	t.text = append(t.text, p...)
	if excess := len(t.text) - kept; excess > 0 {
		t.text = append(t.text[:0], t.text[excess:]...)
	}
	return len(p), nil
}

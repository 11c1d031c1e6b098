package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/workloads"
)

type requestsCommand struct {
	clientFlags  `embed:""`
	replicaFlags `embed:""`

	Follow bool   `short:"f" env:"-" help:"Go on to print requests as they are answered, until interrupted. If the emulator is restarted, go on with the new one."`
	Route  string `env:"-" placeholder:"ROUTE" help:"Only requests for this route, such as mds.token or iamcredentials.*."`
	Status string `env:"-" placeholder:"STATUS" help:"Only requests that were answered with this status, such as 403 or 4xx."`
	Limit  *int   `env:"-" placeholder:"N" help:"Only the newest N requests; with --follow, and all later ones."`
}

// Run prints exchanges of the journal.
func (c *requestsCommand) Run(ctx context.Context, std streams) error {
	query, err := c.query()
	if err != nil {
		return err
	}
	run, err := c.run(ctx) // before the list, whose numbers are of this run or a later one
	if err != nil {
		return err
	}
	table := exchangeTable{out: std.out, ofAll: c.Replica == "all"}
	last, err := c.list(ctx, std, c.limited(query), &table)
	if err != nil {
		return err
	}
	if c.Follow {
		return c.follow(ctx, std, &following{query: query.Encode(), table: &table, run: run, last: last})
	}
	if !table.started {
		_, _ = fmt.Fprintf(std.err, "%s: there are no such requests\n", program)
	}
	return nil
}

// query returns the query of the journal, or a usage error.
func (c *requestsCommand) query() (url.Values, error) {
	if c.Follow && c.Replica != "" {
		return nil, &usageError{errors.New("--follow prints what the emulator at --url answers, and cannot follow another replica: leave out --replica, or give the URL of that replica")}
	}
	if c.Limit != nil && *c.Limit <= 0 {
		return nil, &usageError{fmt.Errorf("--limit: %d is not a positive number of requests", *c.Limit)}
	}
	filter := journal.Filter{Route: c.Route}
	if c.Status == "" {
		return c.ask(filter.Query()), nil
	}
	filter, _, err := filter.With("status", c.Status)
	if err != nil {
		return nil, &usageError{fmt.Errorf("--status: %w", err)}
	}
	return c.ask(filter.Query()), nil
}

// limited returns a query of the journal with the limit, which a query of later exchanges does not have.
func (c *requestsCommand) limited(query url.Values) url.Values {
	if c.Limit == nil {
		return query
	}
	limited := maps.Clone(query)
	limited.Set("limit", strconv.Itoa(*c.Limit))
	return limited
}

// list prints the exchanges in the journal, and returns the number of the newest one.
func (c *requestsCommand) list(ctx context.Context, std streams, query url.Values, table *exchangeTable) (last uint64, err error) {
	answer, err := c.get(ctx, "/emulator/v1/requests?"+query.Encode())
	if err != nil {
		return 0, err
	}
	var found struct {
		gathering

		Requests []recorded `json:"requests"`
		Last     uint64     `json:"last"`
	}
	if err := json.Unmarshal([]byte(answer), &found); err != nil {
		return 0, fmt.Errorf("read the list of requests: %w", err)
	}
	for _, e := range found.Requests {
		table.add(e)
	}
	found.tell(std)
	return found.Last, table.err
}

// following is the state of --follow.
type following struct {
	query string
	table *exchangeTable
	run   uuid.UUID // of the emulator
	last  uint64    // the number of the newest exchange that has been printed or passed over
}

// follow prints exchanges as they are recorded. If the emulator ends, it waits for another emulator
// at the same URL, and prints its exchanges from the first one on.
func (c *requestsCommand) follow(ctx context.Context, std streams, f *following) error {
	const pause = 250 * time.Millisecond
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		connected, err := c.stream(ctx, f)
		switch {
		case ctx.Err() != nil:
			return nil
		case f.table.err != nil:
			return f.table.err
		case connected:
			_, _ = fmt.Fprintf(std.err, "%s: the emulator has ended; waiting for another one at %s\n", program, c.URL)
		case !errors.As(err, new(*url.Error)): // an emulator refuses the query
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// stream prints the exchanges of one connection. connected is true if the emulator answered.
func (c *requestsCommand) stream(ctx context.Context, f *following) (connected bool, err error) {
	run, err := c.run(ctx)
	if err != nil {
		return false, err
	}
	if f.run != run { // the journal of the new run counts from 1
		f.run, f.last = run, 0
	}
	response, err := c.send(ctx, http.MethodGet, "/emulator/v1/events?"+f.query, http.NoBody,
		map[string]string{"Last-Event-ID": strconv.FormatUint(f.last, 10)})
	if err != nil {
		return false, err
	}
	defer func() { _ = response.Body.Close() }() // nothing was written
	return true, readEvents(response.Body, f.take)
}

// take handles an event.
func (f *following) take(name string, data []byte) error {
	if name != "request" {
		return nil
	}
	var e recorded
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("read an event: %w", err)
	}
	f.table.add(e)
	f.last = e.Sequence
	return f.table.err
}

// recorded is an exchange with the name of the replica that has recorded it.
type recorded struct {
	journal.Exchange

	Replica string `json:"replica"`
}

// exchangeTable prints exchanges in columns.
type exchangeTable struct {
	out     io.Writer
	ofAll   bool // of all replicas, which a column names
	started bool
	err     error
}

// add prints an exchange, after the names of the columns if it is the first one.
func (t *exchangeTable) add(e recorded) {
	const columns = "%-12s  %-6s  %8s  %s%-40s  %s\n"
	column := func(name string) string {
		if !t.ofAll {
			return ""
		}
		return fmt.Sprintf("%-24s  ", printable(name))
	}
	var text strings.Builder
	if !t.started {
		fmt.Fprintf(&text, columns, "TIME", "STATUS", "TOOK", column("REPLICA"), "ROUTE", "REQUEST")
		t.started = true
	}
	status := "none"
	if e.Status != 0 {
		status = strconv.Itoa(e.Status)
	}
	took := time.Duration(e.Duration)
	fmt.Fprintf(&text, columns, e.Time.Local().Format("15:04:05.000"), status, took.Round(took/100+1), column(e.Replica), printable(e.Route),
		printable(e.Method+" "+e.Path))
	for _, line := range explanation(e.Exchange) {
		fmt.Fprintf(&text, "%12s  %s\n", "", printable(line))
	}
	if t.err == nil {
		_, t.err = io.WriteString(t.out, text.String())
	}
}

// explanation returns the known facts about the instance, a fault and a refusal, one line each.
func explanation(e journal.Exchange) []string {
	var lines []string
	if e.Instance != "" && e.ChosenBy != string(workloads.ByDefault) {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("instance %s, by %s %s", e.Instance, e.ChosenBy, e.Peer)))
	}
	if e.Fault != "" {
		lines = append(lines, "fault "+e.Fault)
	}
	if e.Reason == "" {
		return lines
	}
	reason := e.Reason
	if e.Caller != "" {
		reason += " (caller: " + e.Caller + ")"
	}
	lines = append(lines, reason)
	if e.Hint != "" {
		lines = append(lines, "hint: "+e.Hint)
	}
	return lines
}

// printable returns a text of a client without characters that a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

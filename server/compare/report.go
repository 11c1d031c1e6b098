package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the differences as a table for a terminal.
func (r Report) WriteTable(to io.Writer) error {
	const gap, widest = 2, 60
	table := tabwriter.NewWriter(to, 0, 0, gap, ' ', 0)
	_, _ = fmt.Fprintln(table, "DIFFERENCE\tREAL\tEMULATED\tREQUEST\tTIMES\tRESTS ON\tRULE")
	for _, d := range r.Differences {
		cells := []string{string(d.Aspect), d.Real, d.Emulated, d.Request, strconv.Itoa(d.Count), d.RestsOn, d.Rule}
		for i, cell := range cells {
			cells[i] = short(cell, widest)
		}
		_, _ = fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return table.Flush()
}

// short returns a text on a single line, for a cell.
func short(text string, most int) string {
	text = strings.NewReplacer("\n", "⏎", "\t", " ", "\r", "").Replace(text)
	if letters := []rune(text); len(letters) > most {
		return string(letters[:most-1]) + "…"
	}
	return text
}

// Summary returns a sentence about the comparison.
func (r Report) Summary() string {
	left := ""
	if r.LeftOut > 0 {
		left = fmt.Sprintf(", %d left out because of the limit", r.LeftOut)
	}
	kind := "profile " + r.Profile
	if r.Surface != "" {
		kind = "surface " + r.Surface
	}
	summary := fmt.Sprintf("%d requests to %s (%s)%s: %d differences", r.Requests, r.Server, kind, left, len(r.Differences))
	if r.Ended != nil {
		summary += "; " + r.Ended.String()
	}
	return summary
}

// WriteJSON writes the report as JSON.
func (r Report) WriteJSON(to io.Writer) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// WriteMarkdown writes the report in Markdown, with the JSON in a part that is folded, for a report of a
// bug.
func (r Report) WriteMarkdown(to io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# Servers compared\n\n%s.\n\nTokens, keys, names, addresses and IDs are replaced by names of their kind; equal values have equal names.\n", r.Summary())
	if len(r.Differences) > 0 {
		text.WriteString("\n| difference | real | emulated | request | times | rests on | rule | known of the emulator |\n|---|---|---|---|---|---|---|---|\n")
	}
	for _, d := range r.Differences {
		cells := []string{string(d.Aspect), code(d.Real), code(d.Emulated), code(d.Request), strconv.Itoa(d.Count), d.RestsOn, d.Rule, d.Here}
		for i, cell := range cells {
			cells[i] = strings.ReplaceAll(short(cell, len(cell)+1), "|", `\|`)
		}
		fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | "))
	}
	text.WriteString("\n<details><summary>JSON</summary>\n\n```json\n")
	if err := r.WriteJSON(&text); err != nil {
		return err
	}
	text.WriteString("```\n\n</details>\n")
	_, err := io.WriteString(to, text.String())
	return err
}

// code returns a text as code, with a fence that the text lacks.
func code(text string) string {
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + " " + text + " " + fence
}

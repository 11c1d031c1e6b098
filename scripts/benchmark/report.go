package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// table is a table of the report.
type table struct {
	intro  string
	header []string
	rows   [][]string
}

// markdown returns the table as Markdown, or "" if it has no rows.
func (t table) markdown() string {
	if len(t.rows) == 0 {
		return ""
	}
	var text strings.Builder
	line := func(cells []string) {
		text.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	text.WriteString("\n" + t.intro + "\n\n")
	line(t.header)
	text.WriteString("|" + strings.Repeat(" --- |", len(t.header)) + "\n")
	for _, row := range t.rows {
		line(row)
	}
	return text.String()
}

// String returns the name of a reference server in tables.
func (k kind) String() string {
	switch k {
	case signing:
		return "bare server, one RSA-2048 signature"
	case signingRPC:
		return "bare server, one RSA-2048 signature, in gRPC"
	case constant:
	}
	return "bare server, constant bytes"
}

// machine describes the machine.
func machine() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	model := "CPU of unknown model"
	if err == nil {
		model = parseModel(info, model)
	}
	return fmt.Sprintf("Measured on %s, %d CPUs, %s, %s/%s.",
		model, runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// parseModel returns the value of the line "model name : …", or otherwise if there is none.
func parseModel(cpuinfo []byte, otherwise string) string {
	for line := range bytes.Lines(cpuinfo) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(bytes.TrimSpace(name)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return otherwise
}

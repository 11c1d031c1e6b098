package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"gcp-metadata-emulator/server/explain"
)

type explainCommand struct {
	clientFlags  `embed:""`
	replicaFlags `embed:""`
}

// Run prints the latest findings: a sentence for each, and its hint.
func (c *explainCommand) Run(ctx context.Context, std streams) error {
	answer, err := c.get(ctx, "/emulator/v1/explain?"+c.ask(url.Values{}).Encode())
	if err != nil {
		return err
	}
	var explained struct {
		gathering

		Findings []explain.Finding `json:"findings"`
	}
	if err := json.Unmarshal([]byte(answer), &explained); err != nil {
		return fmt.Errorf("read the emulator's answer: %w", err)
	}
	for _, finding := range explained.Findings {
		_, _ = fmt.Fprintln(std.out, finding.Sentence)
		if finding.Hint != "" {
			_, _ = fmt.Fprintln(std.out, "hint: "+finding.Hint)
		}
	}
	explained.tell(std)
	return nil
}

// Runs the Go SDK's client: `client TARGET FOLDER` prints what happened as JSON, as python_client.py does.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	steps := []string{}
	report := func(fault, note string, args any) {
		said, _ := json.Marshal(map[string]any{"steps": steps, "fault": fault, "note": note, "args": args})
		fmt.Println(string(said))
		os.Exit(0)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	var transport mcp.Transport
	var words []string
	var url string
	if json.Unmarshal([]byte(os.Args[1]), &url) == nil {
		transport = &mcp.StreamableClientTransport{Endpoint: url}
	} else if err := json.Unmarshal([]byte(os.Args[1]), &words); err == nil {
		transport = &mcp.CommandTransport{Command: exec.Command(words[0], words[1:]...)}
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "go-driver", Version: "1"}, nil)
	session, err := client.Connect(ctx, transport, nil)
	if err != nil {
		report(err.Error(), "", nil)
	}
	defer session.Close()
	listed, err := session.ListTools(ctx, nil)
	if err != nil {
		report(err.Error(), "", nil)
	}
	var free any
	for _, tool := range listed.Tools {
		if tool.Name != "service_create" {
			continue
		}
		var schema struct {
			Properties map[string]any `json:"properties"`
		}
		text, _ := json.Marshal(tool.InputSchema)
		_ = json.Unmarshal(text, &schema)
		free = schema.Properties["args"]
	}
	steps = append(steps, "list")
	call := func(name string, args map[string]any) (bool, string) {
		result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: args})
		if err != nil {
			return true, err.Error()
		}
		text := ""
		for _, block := range result.Content {
			if found, ok := block.(*mcp.TextContent); ok {
				text += found.Text
			}
		}
		return result.IsError, text
	}
	shop := map[string]any{"name": "shop"}
	for _, step := range []struct {
		name, tool string
		args       map[string]any
	}{
		{"create", "service_create", map[string]any{
			"serviceClassName": "static-web-server", "name": "shop", "args": map[string]any{"directory": os.Args[2]},
		}},
		{"status", "service_status", shop},
		{"wait", "service_wait", map[string]any{"name": "shop", "state": []string{"running"}}},
		{"stop", "service_stop", shop},
		{"delete", "service_delete", shop},
	} {
		failed, text := call(step.tool, step.args)
		if failed || !strings.Contains(text, "shop") {
			report(step.name+": "+text, "", nil)
		}
		steps = append(steps, step.name)
	}
	failed, text := call("service_create", map[string]any{"serviceClassName": "nothing"})
	if !failed || !strings.Contains(text, "Next:") {
		report("the failure is not seen: "+text, "", nil)
	}
	steps = append(steps, "failure")
	report("", "protocol "+session.InitializeResult().ProtocolVersion, free)
}

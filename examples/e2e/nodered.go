package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// A NodeRED is a client of a Node-RED whose editor lies under /admin.
type NodeRED struct {
	*Client
	token string
}

// Login logs in as the editor does.
func (n *NodeRED) Login(ctx context.Context, c Credentials) error {
	a, err := n.Form(ctx, "/admin/auth/token", url.Values{"client_id": {"node-red-editor"}, "grant_type": {"password"}, "scope": {""},
		"username": {c.Username}, "password": {c.Password}})
	if err != nil {
		return err
	}
	var out struct {
		Token string `json:"access_token"`
	}
	if err := a.decodeInto(&out, http.StatusOK, func() bool { return out.Token != "" }); err != nil {
		return err
	}
	n.token = out.Token
	return nil
}

func (n *NodeRED) header() http.Header {
	return http.Header{"Authorization": {"Bearer " + n.token}, "Node-Red-Api-Version": {"v2"}}
}

// Flows are all nodes of a Node-RED, with the revision that a change must name.
type Flows struct {
	Nodes []map[string]any `json:"flows"`
	Rev   string           `json:"rev"`
}

// Flows reads the flows.
func (n *NodeRED) Flows(ctx context.Context) (f Flows, err error) {
	h := n.header()
	h.Set("Accept", "application/json")
	a, err := n.Do(ctx, http.MethodGet, "/admin/flows", h, nil)
	if err != nil {
		return f, err
	}
	err = a.decodeInto(&f, http.StatusOK, func() bool { return f.Rev != "" })
	return f, err
}

// Deploy writes the flows by the editor's Deploy button and returns the new revision.
func (n *NodeRED) Deploy(ctx context.Context, f Flows) (string, error) {
	h := n.header()
	h.Set("Node-RED-Deployment-Type", "full")
	var out Flows
	err := n.JSON(ctx, http.MethodPost, "/admin/flows", h, f, &out, http.StatusOK)
	return out.Rev, err
}

// Greet changes what the example's flow answers on /hello, as an administrator
// does: opens the editor, edits the function, deploys, and waits for the editor's
// WebSocket to tell of the deployment.
func (n *NodeRED) Greet(ctx context.Context, greeting string) error {
	if _, err := n.See(ctx, "/admin/", "red.min.js"); err != nil {
		return err
	}
	next, done, err := n.Comms(ctx)
	if err != nil {
		return err
	}
	defer done()
	f, err := n.Flows(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(greeting)
	if err != nil {
		return err
	}
	changed := false
	for _, node := range f.Nodes {
		if node["type"] == "function" && node["name"] == "greet" {
			node["func"] = "msg.headers = { \"content-type\": \"text/plain; charset=utf-8\" };\nmsg.payload = " + string(text) + ";\nreturn msg;"
			changed = true
		}
	}
	if !changed {
		return fmt.Errorf("editing the flow: found no function named greet among %d nodes", len(f.Nodes))
	}
	rev, err := n.Deploy(ctx, f)
	if err != nil {
		return err
	}
	for {
		topic, data, err := next(ctx)
		if err != nil {
			return fmt.Errorf("waiting for the news of revision %s: %w", first(rev, 8), err)
		}
		if topic == "notification/runtime-deploy" && strings.Contains(data, rev) {
			return nil
		}
	}
}

// Comms opens the editor's WebSocket and returns a function that waits for the
// next message, with its topic and its data as JSON, and one that closes it.
func (n *NodeRED) Comms(ctx context.Context) (next func(context.Context) (topic, data string, err error), done func(), err error) {
	c, _, err := websocket.Dial(ctx, n.Base+"/admin/comms", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: n.webSocketTransport(), Jar: n.HTTP.Jar}, HTTPHeader: n.Client.Header})
	if err != nil {
		return nil, nil, fmt.Errorf("opening the editor's WebSocket: %w", err)
	}
	c.SetReadLimit(1 << 20)
	if err := wsjson.Write(ctx, c, map[string]string{"auth": n.token}); err != nil {
		c.CloseNow()
		return nil, nil, fmt.Errorf("logging in to the editor's WebSocket: %w", err)
	}
	var answer struct{ Auth string }
	if err := wsjson.Read(ctx, c, &answer); err != nil || answer.Auth != "ok" {
		c.CloseNow()
		return nil, nil, fmt.Errorf("logging in to the editor's WebSocket: got %q, %v, want ok", answer.Auth, err)
	}
	if err := wsjson.Write(ctx, c, map[string]string{"subscribe": "notification/#"}); err != nil {
		c.CloseNow()
		return nil, nil, err
	}
	type message struct {
		Topic string
		Data  json.RawMessage
	}
	var queue []message
	next = func(ctx context.Context) (string, string, error) {
		for len(queue) == 0 {
			_, b, err := c.Read(ctx)
			if err != nil {
				return "", "", fmt.Errorf("reading the editor's WebSocket: %w", err)
			}
			var one message
			if json.Unmarshal(b, &queue) != nil { // several come as a list
				if err := json.Unmarshal(b, &one); err != nil {
					return "", "", fmt.Errorf("reading the editor's WebSocket: %w", err)
				}
				queue = []message{one}
			}
		}
		m := queue[0]
		queue = queue[1:]
		return m.Topic, string(m.Data), nil
	}
	return next, func() { c.CloseNow() }, nil
}

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

// ErrUnavailable is matched by the errors of [Dial] and of a [Client] when no
// instance answers at the socket.
var ErrUnavailable = errors.New("no running instance answers")

const (
	askTimeout = 10 * time.Second
	maxAnswer  = 64 << 20 // bytes
)

// Client asks a running instance. It may be used concurrently.
type Client struct {
	http http.Client
}

// Dial returns a client of the instance at a socket. It fails, with an error that
// matches [ErrUnavailable], where nobody answers, and where the one who answers is
// neither this user nor root: the answer would be anybody's. Close gives back what
// the client holds.
func Dial(ctx context.Context, s Socket) (*Client, error) {
	if err := s.checkDir(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", s.Path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if err := trust(conn); err != nil {
			conn.Close()
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return conn, nil
	}
	conn, err := dial(ctx, "", "")
	if err != nil {
		return nil, err
	}
	conn.Close()
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConns: 1, DisableCompression: true}, Timeout: askTimeout}}, nil
}

// trust returns an error where the other end is somebody else's process. Root may
// ask anybody's.
func trust(conn net.Conn) error {
	self := os.Geteuid()
	uid, err := peerUID(conn.(*net.UnixConn))
	switch {
	case errors.Is(err, errors.ErrUnsupported), self == 0:
		return nil
	case err != nil:
		return err
	case uid != self && uid != 0:
		return fmt.Errorf("a process of uid %d answers there", uid)
	}
	return nil
}

// Close gives back what the client holds.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Info asks what runs.
func (c *Client) Info(ctx context.Context) (*Info, error) {
	var i Info
	return &i, c.get(ctx, "info", nil, &i)
}

// Connections asks for a list; f.Limit of 0 is 100.
func (c *Client) Connections(ctx context.Context, f Filter) (*ConnectionList, error) {
	var list ConnectionList
	return &list, c.get(ctx, "connections", f.query(), &list)
}

// Connection asks for one connection. Where there is none of that id, the error is
// a [*Problem] with status 404.
func (c *Client) Connection(ctx context.Context, id string) (*Document, error) {
	var d Document
	return &d, c.get(ctx, "connections/"+url.PathEscape(id), nil, &d)
}

// Last asks for the connection that was settled last among those f chooses.
func (c *Client) Last(ctx context.Context, f Filter) (*Document, error) {
	var d Document
	return &d, c.get(ctx, "connections/last", f.query(), &d)
}

// query writes a filter as a question's parameters.
func (f Filter) query() url.Values {
	q := url.Values{}
	set := func(key, value string) {
		if value != "" {
			q.Set(key, value)
		}
	}
	set("outcome", string(f.Outcome))
	set("reason", f.Reason)
	if f.Client.IsValid() {
		set("client", f.Client.String())
	}
	if f.Limit > 0 {
		set("limit", strconv.Itoa(f.Limit))
	}
	if f.Before > 0 {
		set("before", strconv.FormatUint(f.Before, 10))
	}
	return q
}

// get asks for what is at path and reads the answer into v.
func (c *Client) get(ctx context.Context, path string, q url.Values, v any) error {
	target := url.URL{Scheme: "http", Host: "admin", Path: "/api/v1/"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String()+path+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL is ours, and says nothing
		}
		return fmt.Errorf("asking the running instance: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		p := &Problem{Status: resp.StatusCode}
		if json.Unmarshal(body, p) != nil || p.Status == 0 {
			p.Status = resp.StatusCode
		}
		return p
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

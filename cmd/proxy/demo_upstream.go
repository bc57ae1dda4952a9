package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"mtlsproxy/proxy/tlswire"
)

const (
	echoIdle     = 5 * time.Minute        // no byte for so long ends a connection
	echoDecide   = 200 * time.Millisecond // how long the first bytes may leave open whether they are HTTP
	echoMaxBody  = 1 << 30                // bytes of one request
	echoMaxConns = 4096                   // at once; more wait in the kernel's queue
)

// echoUpstream is the service behind the demo's proxy. It answers HTTP/1.1
// requests with what it knows of them, in JSON, and sends everything else back
// as it came.
type echoUpstream struct {
	ln   net.Listener
	web  *http.Server
	http *handoff
	room chan struct{}

	wg    sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]struct{} // that are not HTTP, or not yet
	over  bool
}

// startEchoUpstream begins to serve on a free loopback port.
func startEchoUpstream() (*echoUpstream, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &echoUpstream{
		ln:    ln,
		http:  &handoff{conns: make(chan net.Conn), done: make(chan struct{}), addr: ln.Addr()},
		room:  make(chan struct{}, echoMaxConns),
		conns: map[net.Conn]struct{}{},
	}
	u.web = &http.Server{
		Handler: http.HandlerFunc(answer), ReadHeaderTimeout: 30 * time.Second, IdleTimeout: echoIdle,
		MaxHeaderBytes: 64 << 10,
	}
	u.wg.Go(u.accept)
	u.wg.Go(func() { u.web.Serve(u.http) })
	return u, nil
}

// addr returns where it listens.
func (u *echoUpstream) addr() string { return u.ln.Addr().String() }

// stop ends everything at once.
func (u *echoUpstream) stop() {
	u.ln.Close()
	u.web.Close()
	u.mu.Lock()
	u.over = true
	for c := range u.conns {
		c.Close()
	}
	u.mu.Unlock()
	u.wg.Wait()
}

func (u *echoUpstream) accept() {
	for {
		u.room <- struct{}{}
		conn, err := u.ln.Accept()
		if err != nil {
			<-u.room
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				continue
			}
			return
		}
		u.wg.Go(func() {
			defer func() { <-u.room }()
			u.serve(conn)
		})
	}
}

// serve finds out what a connection speaks. A web connection goes to net/http.
func (u *echoUpstream) serve(conn net.Conn) {
	if !u.track(conn) {
		conn.Close()
		return
	}
	first := bufio.NewReader(conn)
	if speaksHTTP(conn, first) {
		u.forget(conn)
		conn.SetReadDeadline(time.Time{})
		u.http.give(&peeked{Conn: conn, reader: first})
		return
	}
	defer u.forget(conn)
	defer conn.Close()
	if echo(conn, first) == nil {
		conn.(*net.TCPConn).CloseWrite()
	}
}

func (u *echoUpstream) track(conn net.Conn) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.over {
		u.conns[conn] = struct{}{}
	}
	return !u.over
}

func (u *echoUpstream) forget(conn net.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.conns, conn)
}

// speaksHTTP looks at the first bytes without taking them.
func speaksHTTP(conn net.Conn, first *bufio.Reader) bool {
	conn.SetReadDeadline(time.Now().Add(echoIdle))
	for {
		if _, err := first.Peek(first.Buffered() + 1); err != nil {
			return false // nothing more came, or not in time
		}
		seen, _ := first.Peek(first.Buffered())
		if c := tlswire.Classify(seen); !c.More {
			return c.Protocol == tlswire.ProtocolHTTP
		}
		conn.SetReadDeadline(time.Now().Add(echoDecide))
	}
}

// echo sends back what comes until it ends.
func echo(conn net.Conn, from io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		conn.SetDeadline(time.Now().Add(echoIdle))
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := conn.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// answer says what the service knows of a request. Who the client is it does not
// know: the proxy carries the bytes and adds none.
func answer(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, echoMaxBody))
	if err != nil {
		http.Error(w, "the request's body broke off or was too long", http.StatusBadRequest)
		return
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	from, _ := net.ResolveTCPAddr("tcp", r.RemoteAddr)
	body := struct {
		Service   string `json:"service"`
		Request   string `json:"request"`
		Host      string `json:"host"`
		BodyBytes int64  `json:"body_bytes"`
		From      string `json:"from"`
		FromPort  int    `json:"from_port"`
		To        string `json:"to"`
		Client    string `json:"client"`
	}{
		Service: "demo upstream", Request: r.Method + " " + r.RequestURI + " " + r.Proto, Host: r.Host, BodyBytes: n,
		From:   r.RemoteAddr,
		Client: "not known here: the proxy carries the bytes and adds nothing; its log says who came, in the connection whose tcp.established to the upstream has the address of from",
	}
	if from != nil {
		body.FromPort = from.Port
	}
	if local != nil {
		body.To = local.String()
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	enc.Encode(body) // the client that would hear of an error is gone then
}

// handoff is a listener whose connections are given to it.
type handoff struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
	addr  net.Addr
}

// give hands conn to whoever accepts, or closes it when nobody does any more.
func (h *handoff) give(conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.done:
		conn.Close()
	}
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

func (h *handoff) Addr() net.Addr { return h.addr }

// peeked is a connection some of whose bytes have been read already.
type peeked struct {
	net.Conn
	reader *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.reader.Read(b) }

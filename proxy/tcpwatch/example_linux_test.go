package tcpwatch_test

import (
	"fmt"
	"net"

	"mtlsproxy/proxy/tcpwatch"
)

// printer tells what ended a connection.
type printer struct{ over chan struct{} }

func (p printer) Tell(f *tcpwatch.Fact) {
	switch f.Kind {
	case tcpwatch.SawFIN, tcpwatch.SawRST:
		fmt.Printf("%v by %v, first: %v\n", f.Kind, f.By, f.First)
	case tcpwatch.SawEnd:
		fmt.Println(f.Verdict.Words())
		close(p.over)
	}
}

func ExampleWatcher() {
	w, err := tcpwatch.Start(tcpwatch.Options{Tiers: []tcpwatch.Source{tcpwatch.Sock}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := ln.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}

	snap, err := tcpwatch.Open(conn) // right after accept
	if err != nil {
		fmt.Println(err)
		return
	}
	told := printer{make(chan struct{})}
	flow, err := w.Watch(conn, snap, told)
	if err != nil {
		fmt.Println(err)
		return
	}

	client.Close()
	conn.Read(make([]byte, 1)) // io.EOF

	flow.Closing(&tcpwatch.Leave{})
	conn.Close()
	flow.Closed()
	<-told.over
	// Output:
	// FIN by peer, first: true
	// FIN by us, first: false
	// the peer closed first; nothing is left here
}

package tlswire_test

import (
	"fmt"

	"mtlsproxy/proxy/tlswire"
)

// A client that connects to a TLS port and is told, in clear, that no version
// suits both sides.
func ExampleTranscript() {
	var secrets tlswire.Secrets // filled by a KeyLogWriter, if anything is protected
	var t tlswire.Transcript
	t.SetSecrets(&secrets)

	show := func(m *tlswire.Message) {
		fmt.Printf("%v %s %d bytes\n", m.Direction, m.Name(), m.Length)
		body, err := m.Decode()
		if err != nil {
			fmt.Println(err)
		}
		switch b := body.(type) {
		case *tlswire.ClientHello:
			fmt.Println(b.LegacyVersion, b.CipherSuites, b.JA4())
		case *tlswire.Alert:
			fmt.Println(b.Level, b.Description, uint8(b.Description))
		}
	}
	hello := "\x16\x03\x01\x00\x2f\x01\x00\x00\x2b" + "\x03\x01" + "01234567890123456789012345678901" + "\x00" + "\x00\x04\xc0\x13\x00\xff" + "\x01\x00"
	t.Feed(tlswire.ClientToServer, []byte(hello[:20]), 1, show) // cut anywhere
	t.Feed(tlswire.ClientToServer, []byte(hello[20:]), 2, show)
	t.Feed(tlswire.ServerToClient, []byte("\x15\x03\x01\x00\x02\x02\x46"), 3, show)
	// Output:
	// client_to_server ClientHello 43 bytes
	// TLS 1.0 [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA TLS_EMPTY_RENEGOTIATION_INFO_SCSV] t10i020000_a0546e0689fc_000000000000
	// server_to_client Alert 2 bytes
	// fatal protocol_version 70
}

func ExampleClassify() {
	for _, b := range []string{"\x16\x03\x01\x02\x00", "GET / HTTP/1.1\r\n", "PRI "} {
		c := tlswire.Classify([]byte(b))
		fmt.Println(c.Protocol, c.More, tlswire.Sample([]byte(b)))
	}
	// Output:
	// tls false \x16\x03\x01\x02\x00
	// http false GET / HTTP/1.1\r\n
	// http2_preface true PRI
}

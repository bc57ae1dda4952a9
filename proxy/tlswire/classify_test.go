package tlswire

import "testing"

var classifyCases = []struct {
	bytes string
	want  Protocol
}{
	{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ProtocolTLS},
	{"\x15\x03\x03\x00\x02\x02\x30", ProtocolTLS},
	{"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", ProtocolSSLv2},
	{"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10", ProtocolSSLv2},
	{"GET / HTTP/1.1\r\nHost: a\r\n", ProtocolHTTP},
	{"OPTIONS * HTTP/1.1\r\n", ProtocolHTTP},
	{"HTTP/1.1 400 Bad Request\r\n", ProtocolHTTP},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ProtocolHTTP2},
	{"SSH-2.0-OpenSSH_9.2\r\n", ProtocolSSH},
	{"EHLO mail.example\r\n", ProtocolSMTP},
	{"ehlo mail.example\r\n", ProtocolSMTP},
	{"220 mail.example ESMTP\r\n", ProtocolSMTP},
	{"USER anonymous\r\n", ProtocolFTP},
	{"AUTH TLS\r\n", ProtocolFTP},
	{"* OK IMAP4rev1 ready\r\n", ProtocolIMAP},
	{"A001 CAPABILITY\r\n", ProtocolIMAP},
	{"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", ProtocolPROXYv1},
	{"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c", ProtocolPROXYv2},
	{"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01", ProtocolRDP},
	{"\x00\x00\x00\x08\x04\xd2\x16\x2f", ProtocolPostgres},
	{"\x00\x00\x00\x54\x00\x03\x00\x00user\x00", ProtocolPostgres},
	{"\x4a\x00\x00\x00\x0a8.0.36\x00", ProtocolMySQL},
	{"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", ProtocolSOCKS},
	{"\x05\x01\x00", ProtocolSOCKS},
	{"*1\r\n$4\r\nPING\r\n", ProtocolRedis},
	{"\xff\xfb\x01\xff\xfb\x03", ProtocolOther},
	{"hello\n", ProtocolOther},
	{"\x16\x02\x01\x02\x00", ProtocolOther},
	{"\x00\x00\x00\x00\x00\x00\x00\x00", ProtocolOther},
}

func TestClassify(t *testing.T) {
	for _, tt := range classifyCases {
		t.Run(Sample([]byte(tt.bytes)), func(t *testing.T) {
			if got := Classify([]byte(tt.bytes)); got.Protocol != tt.want || got.More {
				t.Errorf("%q is %+v, want %v", tt.bytes, got, tt.want)
			}
			// What is said of a beginning for certain holds of the whole.
			for n := range len(tt.bytes) {
				if got := Classify([]byte(tt.bytes[:n])); !got.More && got.Protocol != tt.want {
					t.Errorf("%q is already %v, want %v", tt.bytes[:n], got.Protocol, tt.want)
				}
			}
		})
	}
	if got := Classify(nil); got != (Classification{More: true}) {
		t.Errorf("nothing is %+v", got)
	}
}

func TestClassifyDecidesWithin16Bytes(t *testing.T) {
	for first := range 256 {
		for second := range 256 {
			b := make([]byte, 16)
			b[0], b[1] = byte(first), byte(second)
			if got := Classify(b); got.More {
				t.Fatalf("% x is %+v", b, got)
			}
		}
	}
}

func TestClassifyDoesNotAllocate(t *testing.T) {
	b := []byte("ehlo x")
	if n := testing.AllocsPerRun(100, func() { Classify(b) }); n != 0 {
		t.Errorf("Classify allocates %v times", n)
	}
}

func TestSample(t *testing.T) {
	for in, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x": `GET / HTTP/1.1\r\n`,
		"\x00\xff\\\"\x7f":          `\x00\xff\\"\x7f`,
		"":                          "",
	} {
		if got := Sample([]byte(in)); got != want {
			t.Errorf("Sample(%q) is %s, want %s", in, got, want)
		}
	}
}

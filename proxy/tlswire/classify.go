package tlswire

// Protocol is what the first bytes of a connection look like.
type Protocol uint8

// The protocols [Classify] tells apart. Those a client begins are known by
// their first bytes; some others by their server's greeting.
const (
	ProtocolUnknown  Protocol = iota // nothing to judge by
	ProtocolTLS                      // a TLS or SSL 3.0 record
	ProtocolSSLv2                    // an SSL 2.0 CLIENT-HELLO
	ProtocolHTTP                     // an HTTP/1 request or response
	ProtocolHTTP2                    // the client preface, RFC 9113, Section 3.4
	ProtocolSSH                      // RFC 4253, Section 4.2
	ProtocolSMTP                     // EHLO, HELO, MAIL or an SMTP greeting
	ProtocolFTP                      // USER, FEAT, AUTH or an FTP greeting
	ProtocolIMAP                     // a CAPABILITY, LOGIN or STARTTLS command or a greeting
	ProtocolPROXYv1                  // a PROXY protocol header, version 1
	ProtocolPROXYv2                  // and version 2
	ProtocolRDP                      // a TPKT connection request, [MS-RDPBCGR] 2.2.1.1
	ProtocolPostgres                 // SSLRequest, GSSENCRequest, CancelRequest or a startup packet
	ProtocolMySQL                    // a server greeting of protocol version 10
	ProtocolSOCKS                    // SOCKS4 or SOCKS5, RFC 1928
	ProtocolRedis                    // a RESP command
	ProtocolOther                    // none of these
	protocolCount    = iota
)

var protocolNames = [protocolCount]string{
	"unknown", "tls", "sslv2", "http", "http2_preface", "ssh", "smtp", "ftp", "imap", "proxy_v1", "proxy_v2",
	"rdp", "postgres", "mysql", "socks", "redis", "other",
}

// String returns the name of p in lower snake.
func (p Protocol) String() string {
	if int(p) < len(protocolNames) {
		return protocolNames[p]
	}
	return "unknown"
}

// MarshalText returns the name of p.
func (p Protocol) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Classification is what [Classify] says.
type Classification struct {
	Protocol Protocol
	// More is set if the bytes given fit Protocol as far as they go, but do
	// not suffice to be sure. Protocol is then the likeliest, or
	// [ProtocolUnknown].
	More bool
}

// opening is how a protocol begins.
type opening struct {
	protocol Protocol
	prefix   string
	fold     bool // letters in either case
}

// openings are compared in order.
var openings = []opening{
	{ProtocolHTTP2, "PRI * HTTP/2.0\r\n", false},
	{ProtocolPROXYv1, "PROXY ", false},
	{ProtocolPROXYv2, "\r\n\r\n\x00\r\nQUIT\n", false},
	{ProtocolSSH, "SSH-", false},
	{ProtocolHTTP, "HTTP/1.", false},
	{ProtocolHTTP, "GET ", false},
	{ProtocolHTTP, "HEAD ", false},
	{ProtocolHTTP, "POST ", false},
	{ProtocolHTTP, "PUT ", false},
	{ProtocolHTTP, "DELETE ", false},
	{ProtocolHTTP, "CONNECT ", false},
	{ProtocolHTTP, "OPTIONS ", false},
	{ProtocolHTTP, "TRACE ", false},
	{ProtocolHTTP, "PATCH ", false},
	{ProtocolHTTP, "PROPFIND ", false},
	{ProtocolHTTP, "REPORT ", false},
	{ProtocolSMTP, "EHLO", true},
	{ProtocolSMTP, "HELO", true},
	{ProtocolSMTP, "LHLO", true},
	{ProtocolSMTP, "MAIL FROM", true},
	{ProtocolSMTP, "STARTTLS", true},
	{ProtocolSMTP, "220 ", false},
	{ProtocolSMTP, "220-", false},
	{ProtocolFTP, "USER ", true},
	{ProtocolFTP, "AUTH TLS", true},
	{ProtocolFTP, "AUTH SSL", true},
	{ProtocolFTP, "FEAT", true},
	{ProtocolIMAP, "* OK", false},
	{ProtocolIMAP, "a001 ", true},
	{ProtocolRedis, "*1\r\n$", false},
	{ProtocolRedis, "*2\r\n$", false},
	{ProtocolRedis, "*3\r\n$", false},
	{ProtocolRedis, "PING\r\n", true},
	{ProtocolPostgres, "\x00\x00\x00\x08\x04\xd2\x16\x2f", false}, // SSLRequest
	{ProtocolPostgres, "\x00\x00\x00\x08\x04\xd2\x16\x30", false}, // GSSENCRequest
	{ProtocolPostgres, "\x00\x00\x00\x10\x04\xd2\x16\x2e", false}, // CancelRequest
}

// binaryOpenings are the protocols that do not begin with text. fits gets need
// bytes or fewer, at least one, and says whether they may be a beginning.
var binaryOpenings = []struct {
	protocol Protocol
	need     int
	fits     func(b []byte) bool
}{
	{ProtocolTLS, 2, isTLS},
	{ProtocolRDP, 6, func(b []byte) bool {
		return b[0] == 3 && at(b, 1, 0) && at(b, 2, 0) && at(b, 5, 0xe0)
	}},
	{ProtocolSOCKS, 2, func(b []byte) bool { // version 4: CONNECT or BIND
		return b[0] == 4 && (at(b, 1, 1) || at(b, 1, 2))
	}},
	{ProtocolSOCKS, 3, func(b []byte) bool { // version 5: one to four methods
		return b[0] == 5 && (len(b) < 2 || b[1] >= 1 && b[1] <= 4) && (len(b) < 3 || b[2] <= 3)
	}},
	{ProtocolPostgres, 8, func(b []byte) bool { // a startup packet, version 3.x
		return b[0] == 0 && at(b, 1, 0) && at(b, 4, 0) && at(b, 5, 3) && at(b, 6, 0)
	}},
	{ProtocolMySQL, 5, func(b []byte) bool { // length, sequence 0, version 10
		return at(b, 1, 0) && at(b, 2, 0) && at(b, 3, 0) && at(b, 4, 10)
	}},
	{ProtocolSSLv2, 5, func(b []byte) bool {
		return b[0]&0x80 != 0 && at(b, 2, 1) && (at(b, 3, 3) || at(b, 3, 0) && at(b, 4, 2))
	}},
}

// isTLS reports whether b may begin a record of TLS or SSL 3.0: RFC 8446, Section
// 5.1.
func isTLS(b []byte) bool {
	return b[0] >= byte(ChangeCipherSpecRecord) && b[0] <= byte(HeartbeatRecord) && at(b, 1, 3)
}

// at reports whether b has c at i, or is too short to tell.
func at(b []byte, i int, c byte) bool { return len(b) <= i || b[i] == c }

// Classify says what the first bytes of a connection, of either direction,
// look like. It never needs more than 16 bytes and allocates nothing.
func Classify(b []byte) Classification {
	switch {
	case len(b) == 0:
		return Classification{More: true}
	case len(b) >= 2 && isTLS(b):
		return Classification{Protocol: ProtocolTLS} // as nearly all are; no opening is like it
	}
	var likely Classification
	for i := range openings {
		o := &openings[i]
		switch n := min(len(b), len(o.prefix)); {
		case !o.matches(b[:n]):
		case n == len(o.prefix):
			return Classification{Protocol: o.protocol}
		case !likely.More:
			likely = Classification{Protocol: o.protocol, More: true}
		}
	}
	for i := range binaryOpenings {
		o := &binaryOpenings[i]
		switch n := min(len(b), o.need); {
		case !o.fits(b[:n]):
		case n == o.need:
			return Classification{Protocol: o.protocol}
		case !likely.More:
			likely = Classification{Protocol: o.protocol, More: true}
		}
	}
	if likely.More {
		if likely.Protocol == ProtocolMySQL && len(b) == 1 {
			likely.Protocol = ProtocolUnknown // any byte begins it
		}
		return likely
	}
	return Classification{Protocol: ProtocolOther}
}

func (o *opening) matches(b []byte) bool {
	if string(b) == o.prefix[:len(b)] {
		return true
	}
	if !o.fold {
		return false
	}
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		p := o.prefix[i]
		if 'a' <= p && p <= 'z' {
			p -= 'a' - 'A'
		}
		if c != p {
			return false
		}
	}
	return true
}

// sampleLen is how many bytes [Sample] shows.
const sampleLen = 16

// Sample returns the first 16 bytes of b in printable form, with the escapes
// of a Go string: `GET / HTTP/1.1\r\n`.
func Sample(b []byte) string {
	out := make([]byte, 0, 2*sampleLen)
	for _, c := range b[:min(len(b), sampleLen)] {
		switch {
		case c == '\r':
			out = append(out, `\r`...)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\\':
			out = append(out, `\\`...)
		case c < 0x20 || c >= 0x7f:
			out = append(out, '\\', 'x', hexDigits[c>>4], hexDigits[c&0xf])
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

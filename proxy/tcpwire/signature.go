package tcpwire

import "strconv"

// Signature returns the raw signature of a SYN in the notation of p0f 3:
//
//	version:ttl+distance:IP options:MSS:window,scale:option layout:quirks:payload
//
// such as "4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0". It describes how
// the client's stack fills in a SYN and is a hint, never an identity: a load
// balancer or NAT in between shows its own.
//
// It is built at each call; keep the result.
func (s *Segment) Signature() string {
	return string(s.AppendSignature(make([]byte, 0, 96)))
}

// AppendSignature appends what [Segment.Signature] returns.
func (s *Segment) AppendSignature(dst []byte) []byte {
	ttl := initialTTL(s.TTL)
	dst = strconv.AppendUint(dst, uint64(s.Version), 10)
	dst = append(dst, ':')
	dst = strconv.AppendUint(dst, uint64(s.TTL), 10)
	dst = append(dst, '+')
	dst = strconv.AppendUint(dst, uint64(ttl-s.TTL), 10)
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, int64(s.IPOptLen), 10)
	dst = append(dst, ':')
	dst = strconv.AppendUint(dst, uint64(s.MSS), 10)
	dst = append(dst, ':')
	dst = s.appendWindow(dst)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, int64(max(s.WScale, 0)), 10)
	dst = append(dst, ':')
	dst = s.appendLayout(dst)
	dst = append(dst, ':')
	dst = s.appendQuirks(dst)
	if s.PayloadLen > 0 {
		return append(dst, ":+"...)
	}
	return append(dst, ":0"...)
}

// Distance estimates the number of hops to the sender: what is missing to the
// nearest usual initial TTL, 32, 64, 128 or 255.
func (s *Segment) Distance() int { return int(initialTTL(s.TTL) - s.TTL) }

func initialTTL(ttl uint8) uint8 {
	for _, usual := range [...]uint8{32, 64, 128} {
		if ttl <= usual {
			return usual
		}
	}
	return 255
}

// leastMSS is what an MSS has to be before a window is written as its multiple.
const leastMSS = 100

// appendWindow writes a window that is a multiple of the MSS, or of the MTU that
// belongs to it, as such: stacks choose it so.
func (s *Segment) appendWindow(dst []byte) []byte {
	window, mss := int(s.Window), int(s.MSS)
	if window > 0 && mss >= leastMSS {
		headers := ipv4Header + tcpHeader
		if s.Version == 6 {
			headers = ipv6Header + tcpHeader
		}
		units := [...]struct {
			name string
			size int
			ok   bool
		}{
			{"mss*", mss, true},
			{"mss*", mss - 12, s.Timestamps && s.TSVal != 0}, // 12 bytes go to the timestamps
			{"mtu*", mss + headers, true},
		}
		for _, u := range units {
			if u.ok && window%u.size == 0 {
				dst = append(dst, u.name...)
				return strconv.AppendInt(dst, int64(window/u.size), 10)
			}
		}
	}
	return strconv.AppendInt(dst, int64(window), 10)
}

func (s *Segment) appendLayout(dst []byte) []byte {
	start := len(dst)
	for b := s.optionBytes(); len(b) > 0; {
		var o Option
		o, b = nextOption(b)
		if len(dst) > start {
			dst = append(dst, ',')
		}
		switch o.Kind {
		case OptEOL:
			dst = append(dst, "eol+"...)
			dst = strconv.AppendInt(dst, int64(len(o.Data)), 10)
		case OptNOP:
			dst = append(dst, "nop"...)
		case OptMSS:
			dst = append(dst, "mss"...)
		case OptWScale:
			dst = append(dst, "ws"...)
		case OptSACKPermitted:
			dst = append(dst, "sok"...)
		case OptSACK:
			dst = append(dst, "sack"...)
		case OptTimestamps:
			dst = append(dst, "ts"...)
		default:
			dst = append(dst, '?')
			dst = strconv.AppendUint(dst, uint64(o.Kind), 10)
		}
	}
	return dst
}

// appendQuirks lists what is unusual, or tells stacks apart.
func (s *Segment) appendQuirks(dst []byte) []byte {
	v4 := s.Version == 4
	start := len(dst)
	for _, q := range [...]struct {
		name string
		is   bool
	}{
		{"df", s.DF},
		{"id+", v4 && s.DF && s.ID != 0},
		{"id-", v4 && !s.DF && s.ID == 0},
		{"ecn", s.ECN() != 0 || s.Flags&(ECE|CWR) != 0},
		{"0+", s.IPReserved},
		{"flow", s.FlowLabel != 0},
		{"seq-", s.Seq == 0},
		{"ack+", s.Ack != 0 && !s.Flags.Has(ACK)},
		{"ack-", s.Ack == 0 && s.Flags.Has(ACK)},
		{"uptr+", s.Urgent != 0 && !s.Flags.Has(URG)},
		{"urgf+", s.Flags.Has(URG)},
		{"pushf+", s.Flags.Has(PSH)},
		{"ts1-", s.Timestamps && s.TSVal == 0},
		{"ts2+", s.Timestamps && s.TSEcr != 0 && !s.Flags.Has(ACK)},
		{"opt+", s.paddingNotZero()},
		{"exws", s.WScale > 14},
		{"bad", s.BadOptions},
	} {
		if !q.is {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, q.name...)
	}
	return dst
}

// paddingNotZero reports whether something stands behind the EOL option.
func (s *Segment) paddingNotZero() bool {
	for o := range s.Options() {
		if o.Kind != OptEOL {
			continue
		}
		for _, b := range o.Data {
			if b != 0 {
				return true
			}
		}
	}
	return false
}

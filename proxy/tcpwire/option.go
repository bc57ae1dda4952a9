package tcpwire

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// OptionKind is the first byte of a TCP option, from IANA's registry.
type OptionKind uint8

// The option kinds that are seen in practice.
const (
	OptEOL           OptionKind = 0
	OptNOP           OptionKind = 1
	OptMSS           OptionKind = 2   // RFC 9293, Section 3.7.1
	OptWScale        OptionKind = 3   // RFC 7323
	OptSACKPermitted OptionKind = 4   // RFC 2018
	OptSACK          OptionKind = 5   // RFC 2018
	OptTimestamps    OptionKind = 8   // RFC 7323
	OptMD5           OptionKind = 19  // RFC 2385
	OptUserTimeout   OptionKind = 28  // RFC 5482
	OptAO            OptionKind = 29  // RFC 5925
	OptMPTCP         OptionKind = 30  // RFC 8684
	OptFastOpen      OptionKind = 34  // RFC 7413
	OptAccECN0       OptionKind = 172 // Accurate ECN, order 0
	OptAccECN1       OptionKind = 174 // Accurate ECN, order 1
	OptExperiment1   OptionKind = 253 // RFC 4727
	OptExperiment2   OptionKind = 254 // RFC 4727
)

// String returns the kind's short name, such as "MSS", or "option N".
func (k OptionKind) String() string {
	switch k {
	case OptEOL:
		return "EOL"
	case OptNOP:
		return "NOP"
	case OptMSS:
		return "MSS"
	case OptWScale:
		return "WScale"
	case OptSACKPermitted:
		return "SACK-permitted"
	case OptSACK:
		return "SACK"
	case OptTimestamps:
		return "timestamps"
	case OptMD5:
		return "MD5"
	case OptUserTimeout:
		return "user-timeout"
	case OptAO:
		return "AO"
	case OptMPTCP:
		return "MPTCP"
	case OptFastOpen:
		return "fast-open"
	case OptAccECN0, OptAccECN1:
		return "AccECN"
	}
	return fmt.Sprintf("option %d", uint8(k))
}

// length is the one length that the kind has, or 0.
func (k OptionKind) length() int {
	switch k {
	case OptMSS, OptUserTimeout:
		return 4
	case OptWScale:
		return 3
	case OptSACKPermitted:
		return 2
	case OptTimestamps:
		return 10
	case OptMD5:
		return 18
	}
	return 0
}

// Option is one TCP option as it stands in the header.
type Option struct {
	Kind OptionKind

	// Data is what follows kind and length; after EOL it is the padding. It
	// refers to the bytes of the Segment and is not to be changed.
	Data []byte

	// Bad says that the length is not one the kind can have (RFC 9293, Section
	// 3.1). If it reaches beyond the header, Data is the rest of the header and
	// this is the last option.
	Bad bool
}

// fastOpenMagic follows OptExperiment2 where TCP Fast Open is sent in its
// experimental form (RFC 7413, Appendix).
const fastOpenMagic = 0xf989

// Options goes through the options in the order of the header. It ends at EOL, at
// the end of the header, or at an option whose length leads nowhere.
func (s *Segment) Options() iter.Seq[Option] {
	return func(yield func(Option) bool) {
		for b := s.optionBytes(); len(b) > 0; {
			var o Option
			o, b = nextOption(b)
			if !yield(o) {
				return
			}
		}
	}
}

func (s *Segment) optionBytes() []byte {
	if len(s.header) < s.tcp+tcpHeader {
		return nil // the zero Segment
	}
	return s.header[s.tcp+tcpHeader:]
}

// nextOption reads one option of b, which is not empty, and returns the rest.
func nextOption(b []byte) (Option, []byte) {
	kind := OptionKind(b[0])
	switch kind {
	case OptEOL:
		return Option{Kind: kind, Data: b[1:]}, nil
	case OptNOP:
		return Option{Kind: kind}, b[1:]
	}
	if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
		return Option{Kind: kind, Data: b[min(2, len(b)):], Bad: true}, nil
	}
	n := int(b[1])
	o := Option{Kind: kind, Data: b[2:n]}
	if want := kind.length(); want != 0 && n != want {
		o.Bad = true
	}
	if kind == OptSACK && (n < 10 || (n-2)%8 != 0) {
		o.Bad = true
	}
	return o, b[n:]
}

// readOptions fills the fields that stand for options. A broken option counts as
// absent; of two of a kind the last one counts, as in Linux.
func (s *Segment) readOptions() {
	s.WScale = -1
	for b := s.optionBytes(); len(b) > 0; {
		var o Option
		o, b = nextOption(b)
		if o.Bad {
			s.BadOptions = true
			continue
		}
		switch o.Kind {
		case OptMSS:
			s.MSS = binary.BigEndian.Uint16(o.Data)
		case OptWScale:
			s.WScale = int(o.Data[0])
		case OptSACKPermitted:
			s.SACKPermitted = true
		case OptTimestamps:
			s.Timestamps = true
			s.TSVal = binary.BigEndian.Uint32(o.Data)
			s.TSEcr = binary.BigEndian.Uint32(o.Data[4:])
		case OptMPTCP:
			s.MPTCP = true
		case OptFastOpen:
			s.FastOpen = true
		case OptExperiment2:
			if len(o.Data) >= 2 && binary.BigEndian.Uint16(o.Data) == fastOpenMagic {
				s.FastOpen = true
			}
		}
	}
}

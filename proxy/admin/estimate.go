package admin

import "mtlsproxy/proxy/event"

// What things take in memory, roughly: the sizes of the structs, rounded up to
// what the allocator gives. The bound that rests on them is one of order of
// magnitude, not of bytes.
const (
	journalSize     = 512 // the journal, its event.Conn and their places in maps and rings
	eventSize       = 64
	bodySize        = 160 // a body boxed in its interface
	certificateSize = 640 // an event.Certificate with its texts
	segmentSize     = 64  // an event.Segment
	kernelSize      = 112 // an event.TCPInfo
	nameSize        = 48  // a string in a list, the text included

	// decodedFactor is how many bytes a decoded message takes for one on the
	// wire: code points become words and lists of words.
	decodedFactor = 3
)

// wired is implemented by bodies that are a message on the wire.
type wired interface{ Wire() event.Message }

// estimate returns how many bytes an event with this body keeps from being
// collected.
func estimate(b event.Body) int64 {
	n := int64(eventSize + bodySize)
	if w, ok := b.(wired); ok {
		m := w.Wire()
		n += int64(len(m.Type))
		if m.Decoded != nil {
			n += int64(decodedFactor * m.Bytes)
		}
	}
	switch b := b.(type) {
	case event.ClientHello:
		n += int64(nameSize * (len(b.Versions) + len(b.Groups) + len(b.ALPN) + len(b.Extensions) + 3))
	case event.CertificateRequest:
		n += int64(nameSize * len(b.AdvertisedCAs))
	case event.ClientCertificate:
		n += int64(certificateSize * len(b.Chain))
	case event.Verify:
		n += int64(nameSize*len(b.Chain) + len(b.Detail))
	case event.HandshakeOK:
		n += int64(nameSize * len(b.Phases))
		if b.Leaf != nil {
			n += certificateSize
		}
	case event.HandshakeFailed:
		n += estimateFailure(&b.Failure)
	case event.HandshakeReported:
		n += estimateFailure(&b.Failure)
	case event.Panic:
		n += int64(len(b.Value) + len(b.Stack))
	case event.TCPAccepted:
		n += int64(nameSize*len(b.Options)) + 256
	case event.TCPEstablished:
		n += int64(nameSize*len(b.Options)) + 128
	case event.ConnClosed:
		n += int64(len(b.Detail)) + 256
	default:
		n += estimateTCP(b)
	}
	return n
}

// estimateTCP is what bodies that tell of the kernel's doings hold.
func estimateTCP(b event.Body) int64 {
	switch b := b.(type) {
	case event.TCPSYN:
		return sizeIf(b.Segment != nil, segmentSize)
	case event.TCPSYNACK:
		return sizeIf(b.Segment != nil, segmentSize)
	case event.TCPRetransmit:
		return sizeIf(b.Segment != nil, segmentSize)
	case event.TCPState:
		return sizeIf(b.Kernel != nil, kernelSize)
	case event.TCPFIN:
		return sizeIf(b.Segment != nil, segmentSize) + sizeIf(b.Kernel != nil, kernelSize)
	case event.TCPRST:
		return sizeIf(b.Segment != nil, segmentSize) + sizeIf(b.Kernel != nil, kernelSize)
	case event.TCPClosed:
		return sizeIf(b.Kernel != nil, kernelSize)
	case event.TCPTimeWait:
		return int64(len(b.Words) + nameSize*len(b.Passed))
	}
	return 0
}

func sizeIf(there bool, size int64) int64 {
	if there {
		return size
	}
	return 0
}

func estimateFailure(f *event.Failure) int64 {
	return int64(512 + len(f.Detail) + len(f.LibraryError) + nameSize*(len(f.AdvertisedCAs)+len(f.Phases)) + certificateSize*len(f.Chain))
}

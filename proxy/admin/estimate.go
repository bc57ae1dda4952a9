package admin

import (
	"reflect"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// What things take in memory, roughly. The bound that rests on them is one of order
// of magnitude, not of bytes; what a client can make large is counted in full.
const (
	journalSize     = 512 // the journal, its event.Conn and their places in maps and rings
	entrySize       = 48  // with its share of room not used
	certificateSize = 640 // an event.Certificate with its texts
	segmentSize     = 64  // an event.Segment
	kernelSize      = 112 // an event.TCPInfo
	nameSize        = 48  // a string in a list, the text included
	termSize        = 16  // one whose text is ours
	phaseSize       = 32  // an event.HandshakePhase
)

// estimate returns how many bytes an event with this body keeps from being
// collected. It runs on the stack of whoever tells the event, where a function that
// looks into bodies has a place for each kind of them: the large ones are looked
// into apart.
func estimate(b event.Body) int64 {
	const piece = 16 // bytes: what allocations are rounded up to
	n := entrySize + (int64(reflect.TypeOf(b).Size())+piece-1)&^(piece-1)
	switch b.(type) {
	case event.ClientHello, event.ServerHello, event.OtherMessage, event.ClientCertificate, event.Verify,
		event.HandshakeOK, event.HandshakeFailed, event.HandshakeReported, event.Panic:
		return n + estimateLarge(b)
	}
	return n + estimateSmall(b)
}

// estimateLarge is what the bodies hold that are large themselves, those of a
// handshake above all.
func estimateLarge(b event.Body) (n int64) {
	switch b := b.(type) {
	case event.ClientHello:
		n = int64(termSize*(len(b.Versions)+len(b.Groups)+len(b.Extensions)) + nameSize*(len(b.ALPN)+3))
		n += estimateMessage(&b.Message)
	case event.ServerHello:
		n = estimateMessage(&b.Message)
	case event.OtherMessage:
		n = estimateMessage(&b.Message)
	case event.ClientCertificate:
		n = int64(certificateSize * len(b.Chain))
	case event.Verify:
		n = int64(termSize*len(b.Chain) + len(b.Detail))
	case event.HandshakeOK:
		n = int64(phaseSize*len(b.Phases)) + sizeIf(b.Leaf != nil, certificateSize)
	case event.HandshakeFailed:
		n = estimateFailure(&b.Failure)
	case event.HandshakeReported:
		n = estimateFailure(&b.Failure)
	case event.Panic:
		n = int64(len(b.Value) + len(b.Stack))
	}
	return n
}

// estimateMessage is what a decoded message takes. What fills a message on the wire
// (key shares, tickets, signatures) is not kept of it.
func estimateMessage(m *event.Message) int64 {
	n := int64(len(m.Type))
	switch d := m.Decoded.(type) {
	case nil:
	case *tlswire.ClientHello:
		n += int64(reflect.TypeFor[tlswire.ClientHello]().Size()) + extensionsSize(d.Extensions)
		n += int64(2*(len(d.CipherSuites)+len(d.SupportedGroups)+len(d.SignatureAlgorithms)+len(d.SupportedVersions)) + 16*len(d.KeyShare) +
			2*nameSize*len(d.CertificateAuthorities) + nameSize*(len(d.ApplicationProtocols)+len(d.ApplicationSettings)))
	case *tlswire.ServerHello:
		n += int64(reflect.TypeFor[tlswire.ServerHello]().Size()) + extensionsSize(d.Extensions)
	case *tlswire.EncryptedExtensions:
		n += int64(reflect.TypeFor[tlswire.EncryptedExtensions]().Size()) + extensionsSize(d.Extensions)
	case *tlswire.CertificateRequest: // a client's; ours is shared
		n += 3 * int64(m.Bytes)
	default:
		n += 128
	}
	return n
}

func extensionsSize(list []tlswire.Extension) int64 {
	return int64(len(list)) * int64(reflect.TypeFor[tlswire.Extension]().Size())
}

// estimateSmall is what the others hold, most of which tell of the kernel's doings.
func estimateSmall(b event.Body) int64 {
	switch b := b.(type) {
	case event.ConnClosed:
		return int64(len(b.Detail)) + sizeIf(b.Kernel != nil, kernelSize)
	case event.UpstreamFailed:
		return int64(len(b.Detail))
	case event.TCPAccepted:
		return int64(termSize*len(b.Options)) + sizeIf(b.SYN != nil, 2*segmentSize) + sizeIf(b.Kernel != nil, kernelSize)
	case event.TCPEstablished:
		return int64(nameSize*len(b.Options)) + sizeIf(b.Kernel != nil, kernelSize)
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
		return int64(len(b.Words) + 24*len(b.Passed))
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
	return int64(256 + len(f.Detail) + len(f.LibraryError) + nameSize*len(f.AdvertisedCAs) + phaseSize*len(f.Phases) + certificateSize*len(f.Chain))
}

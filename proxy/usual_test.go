package proxy

import (
	"testing"

	"mtlsproxy/proxy/tlswire"
)

// alpnAnswer is the body of an EncryptedExtensions that chooses a protocol of two
// letters (RFC 7301, Section 3.1).
func alpnAnswer(protocol string) []byte {
	return append([]byte{0, 9, 0, 16, 0, 5, 0, 3, 2}, protocol...)
}

func TestOurUsualMessagesAreDecodedOnce(t *testing.T) {
	f := &face{}
	read := func(body []byte, dir tlswire.Direction) *tlswire.EncryptedExtensions {
		t.Helper()
		decoded, err := f.decode(&tlswire.Message{
			Direction: dir, Kind: tlswire.KindHandshake, Type: tlswire.TypeEncryptedExtensions, Body: body,
			Context: tlswire.Context{Version: tlswire.VersionTLS13},
		})
		if err != nil {
			t.Fatal(err)
		}
		return decoded.(*tlswire.EncryptedExtensions)
	}
	buffer := alpnAnswer("h2")
	first := read(buffer, tlswire.ServerToClient)
	copy(buffer, alpnAnswer("h3")) // the buffer is used again
	if got := first.ApplicationProtocol; got != "h2" {
		t.Errorf("what was decoded changed to %q", got)
	}
	if read(alpnAnswer("h2"), tlswire.ServerToClient) != first {
		t.Error("the same message was decoded again")
	}
	if got := read(buffer, tlswire.ServerToClient).ApplicationProtocol; got != "h3" {
		t.Errorf("another message was read as %q", got)
	}
	if read(alpnAnswer("h2"), tlswire.ServerToClient) != first {
		t.Error("another message took the place of the usual one")
	}
	if read(alpnAnswer("h2"), tlswire.ClientToServer) == first {
		t.Error("a message of the client's was taken for ours")
	}
	if _, err := f.decode(&tlswire.Message{
		Direction: tlswire.ServerToClient, Kind: tlswire.KindHandshake, Type: tlswire.TypeCertificate, Body: []byte{1},
	}); err == nil || f.usual[0][0].Load() != nil {
		t.Errorf("a message that cannot be read: %v, and it is kept: %v", err, f.usual[0][0].Load() != nil)
	}
}
